"""What a copy must not take over: files that hold an original, its hash or its caption, or no data at all.

Judged by names here; `protect.formats.repeats` looks into files.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from protect.formats.record import LeftOut

_KEPT = frozenset({".gitattributes", ".gitignore", ".gitkeep"})
_SYSTEM = frozenset(
    {"__macosx", "@eadir", "#recycle", "thumbs.db", "ehthumbs.db", "desktop.ini", "__pycache__", "icon\r"}
)
_CAPTIONS = frozenset({".txt", ".caption", ".captions", ".tags", ".json"})
_ARRAYS = frozenset({".npz", ".npy", ".pt", ".pth", ".safetensors", ".latent", ".latents"})
_ARRAY_NAME = re.compile(r"latent|embed|feature|cache|clip|vae|text_?enc|(^|[_.-])te([_.-]|$)", re.IGNORECASE)
_CHECKSUMS = re.compile(
    r".*\.(md5|sha1|sha224|sha256|sha384|sha512|b2|b3|sfv|xxh|par2)(sums?)?"
    r"|(.*[-_.])?(md5|sha\d*|blake\d\w*|b2|crc32?|xxh\w*|hash|check)[-_]?sums?([-_.].*)?"
    r"|(.*[-_.])?hashes([-_.].*)?|(tag)?manifest-(md5|sha\d+)\.txt|dataset_infos?\.json",
    re.IGNORECASE,
)
_BACKUP = re.compile(r".*(~|\.(bak|backup|orig|old|tmp|swp|partial|crdownload|c2pa|lrprev))", re.IGNORECASE)
_STORE = re.compile(
    r".*\.(zip|tar|tgz|tar\.\w+|7z|rar|gz|bz2|xz|zst|parquet|arrow|feather|lmdb|mdb|db|sqlite3?|h5|hdf5|pkl|pickle"
    r"|joblib|tfrecords?|ckpt|bin|idx|index|lock)",
    re.IGNORECASE,
)
_THUMBNAILS = re.compile(r"[._@]*thumb(nail)?s?([-_.].*)?", re.IGNORECASE)


def no_data(name: str) -> str:
    """Why a file or folder of this name is no part of a dataset; empty if it may be.

    >>> no_data(".git")
    'hidden'
    """
    if name.lower() in _SYSTEM:
        return "made by a system; may hold originals"
    return "hidden" if name.startswith((".", "~$")) and name not in _KEPT else ""


def traces(names: Sequence[str], is_picture: Callable[[str], bool]) -> Iterator[LeftOut]:
    """Files that may hold originals or their hashes, judged by their names.

    Args:
        names: files of a dataset, those of one folder in a row; without those that hold its captions.
        is_picture: whether a file is a picture.
    """
    folders: set[str] = set()
    small: list[str] = []
    for folder, files in itertools.groupby(names, posixpath.dirname):
        here = list(files)
        pictures = {posixpath.splitext(name)[0] for name in here if is_picture(name)}
        thumbnails = any(map(_THUMBNAILS.fullmatch, folder.split("/")))
        small += filter(is_picture, here) if thumbnails else ()
        folders |= {folder} if pictures and not thumbnails else set()
        for name in here:
            if not is_picture(name) and (reason := _trace(name, pictures)):
                yield LeftOut(name, reason)
    for name in small:
        if any(posixpath.join(folder, posixpath.basename(name)) in names for folder in folders):
            yield LeftOut(name, "a thumbnail of a picture as it was")


def _trace(name: str, pictures: set[str]) -> str:
    stem, ending = posixpath.splitext(name)
    file = posixpath.basename(name)
    if ending.lower() in _ARRAYS:
        of_picture = any(start in pictures for start in _starts(stem))
        return "may hold pictures as they were" if of_picture or _ARRAY_NAME.search(name) else ""
    if stem in pictures and ending.lower() in _CAPTIONS:
        return ""
    if _CHECKSUMS.fullmatch(file):
        return "tells which files changed"
    if _BACKUP.fullmatch(file):
        return "may hold a file as it was"
    return "may hold pictures or captions as they were" if _STORE.fullmatch(file) else ""


def _starts(stem: str) -> Iterator[str]:
    """A stem and its beginnings: `a_0512x0512_sd`, `a_0512x0512`, `a`.

    >>> list(_starts("a_1-b"))
    ['a_1-b', 'a_1', 'a']
    """
    yield stem
    for found in reversed(list(re.finditer(r"[-_.]", stem))):
        yield stem[: found.start()]


def summed_up(found: Iterable[LeftOut]) -> Iterator[LeftOut]:
    """One entry for all files of one folder, ending and reason: a million of them are no list."""
    first: dict[tuple[str, str], LeftOut] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for one in found:
        folder, file = posixpath.split(one.path)
        pattern = "._*" if file.startswith("._") else f"*{posixpath.splitext(file)[1]}"
        kind = (one.path if pattern == "*" else posixpath.join(folder, pattern), one.reason)
        first.setdefault(kind, one)
        counts[kind] += 1
    for kind, count in counts.items():
        yield first[kind] if count == 1 else LeftOut(kind[0], f"{kind[1]} ({count:,} files)")
