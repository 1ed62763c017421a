"""The container: a ZIP file of which one set of contents has exactly one spelling, byte for byte.

Files are stored, not compressed, in the order of their names and without dates, so the same contents give the same
bytes anywhere. Whoever opens one writes it again and compares: no byte of it can change unseen.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from protect.errors import InputError
from protect.files import canonical_json

MANIFEST = "bundle.json"
SIGNATURE = "signature.json"
FORMAT = 1
MOST_FILES = 100_000
MOST_BYTES = 4 * 2**30
"""Of a whole bundle: nothing is compressed, so nothing can unfold to more."""
_NAME = re.compile(r"[a-z0-9_]+(?:/[a-z0-9_]+)*\.(?:json|png|npz|html|tsr|pem)")
_DATE = (1980, 1, 1, 0, 0, 0)


def packed(files: Mapping[str, bytes]) -> bytes:
    """The container of some files, its manifest included.

    Args:
        files: contents by name, without manifest.
    """
    return _zipped({**files, MANIFEST: manifest(files)})


def manifest(files: Mapping[str, bytes]) -> bytes:
    """What is signed: the format, and the SHA-256 of every file but manifest and signature."""
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != SIGNATURE}
    return canonical_json({"tracemark_bundle": FORMAT, "files": listed})


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr = 3, 0o600 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def unpacked(path: Path) -> dict[str, bytes]:
    """The files of a bundle by name, each as its manifest says.

    Raises:
        InputError: if it is no bundle, of a newer format, too large, or anything in it was changed, left out or added.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _refused(path, f"it holds {path.stat().st_size:,} bytes; a bundle holds {MOST_BYTES:,} at most")
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(path, entries)
            files = {entry.filename: archive.read(entry) for entry in entries}
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})", "Give the file of an evidence bundle.") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise _refused(path, f"it is damaged ({error})") from None
    said = files.pop(MANIFEST, b"")
    if said != manifest(files):
        raise _refused(path, _difference(said, files))
    if _zipped({**files, MANIFEST: said}) != data:
        raise _refused(path, "bytes of the container itself were changed")
    return files


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(names) > MOST_FILES or len(set(names)) < len(names):
        raise _refused(path, "it holds too many files, or one twice")
    for entry in entries:
        if not _NAME.fullmatch(entry.filename):
            raise _refused(path, f"it holds {entry.filename[:80]!r}, which no bundle does")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise _refused(path, f"{entry.filename} is compressed, which no bundle is")


def _difference(said: bytes, files: Mapping[str, bytes]) -> str:
    """In what the files are not those of the manifest."""
    import json

    try:
        row = json.loads(said)
        if row["tracemark_bundle"] != FORMAT:
            return f"its format is {row['tracemark_bundle']}; this program reads {FORMAT}: use a newer program"
        listed = dict(row["files"])
    except (ValueError, KeyError, TypeError):
        return f"its {MANIFEST} is missing or damaged"
    own = {name: data for name, data in files.items() if name != SIGNATURE}
    if missing := sorted(set(listed) - set(own)):
        return f"{missing[0]} is missing"
    if added := sorted(set(own) - set(listed)):
        return f"{added[0]} was added"
    changed = [name for name, data in own.items() if hashlib.sha256(data).hexdigest() != listed[name]]
    return f"{changed[0]} was changed" if changed else f"its {MANIFEST} was written otherwise"


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"{path} is not an evidence bundle as it was written: {why}", "Ask for the file again.")
