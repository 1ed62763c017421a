"""Samples of a webdataset archive: which members belong together, and what keeps a sample from taking part."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from protect.formats.columns import usual
from protect.formats.sharded import is_kept
from protect.formats.tar import Member
from protect.pixels.suffixes import PICTURE_SUFFIXES

LARGEST_TEXT = 1 << 20
"""Bytes of the largest member that is read for captions."""
_HOLD_PICTURES = frozenset({"npz", "pt", "pth", "safetensors", "latent", "latents"})
"""Last endings of members that may hold a picture as it was, in a model's latent space."""
_KEY = re.compile(r"((?:.*/)?[^.]+)\.([^/]*)")
_SKIPPED = re.compile(r"__[^/]*__($|/)")


@dataclass(frozen=True, slots=True)
class TarSample:
    """Members in a row that have one key, as the package webdataset groups them."""

    key: str
    """Their name up to the first dot of the last part."""
    members: tuple[tuple[str, Member], ...]
    """Suffix, in lower case and without the first dot, and member."""

    @property
    def picture(self) -> Member:
        """The first picture; see `obstacle`."""
        return next(member for suffix, member in self.members if is_picture(suffix))


def key_and_suffix(name: str) -> tuple[str, str] | None:
    """A member's key and suffix; None if it belongs to no sample.

    >>> key_and_suffix("a.b/0001.seg.PNG"), key_and_suffix("README")
    (('a.b/0001', 'seg.png'), None)
    """
    found = _KEY.fullmatch(name)
    if not found or _SKIPPED.match(name):
        return None
    return found[1], found[2].lower()


def samples(members: Iterable[Member]) -> Iterator[TarSample]:
    """Group members by key. Folders and members without a key belong to no sample and end none."""
    keyed = ((*split, member) for member in members if not member.is_folder and (split := key_and_suffix(member.name)))
    for key, group in itertools.groupby(keyed, lambda one: one[0]):
        yield TarSample(key, tuple((suffix, member) for _, suffix, member in group))


def obstacle(sample: TarSample) -> str | None:
    """Why a sample cannot take part, from its members' headers alone; None if it can."""
    suffixes = [suffix for suffix, _ in sample.members]
    pictures = [suffix for suffix in suffixes if is_picture(suffix)]
    doubled = next((suffix for suffix in suffixes if suffixes.count(suffix) > 1), None)
    found = next((reason for suffix, member in sample.members if (reason := _member_obstacle(suffix, member))), None)
    if found or doubled is not None:
        return found or f"two members are called .{doubled}"
    if len(pictures) != 1:
        return f"several pictures: .{', .'.join(pictures)}" if pictures else "no picture"
    return None


def is_about_dataset(sample: TarSample) -> bool:
    """Whether it is no sample: a README, a licence and the like, which webdataset reads as one."""
    return all(is_kept(member.name) and not is_picture(suffix) for suffix, member in sample.members)


def _member_obstacle(suffix: str, member: Member) -> str | None:
    shown = printable(member.name)
    if shown != member.name:
        return f"{shown} is not named in UTF-8"
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return f"{shown} leads out of the archive"
    if not member.is_file:
        return f"{shown} is a link or a special file"
    if last(suffix) in _HOLD_PICTURES:
        return f"{shown} may hold the picture as it was before the mark"
    if (is_text(suffix) or is_json(suffix)) and member.size > LARGEST_TEXT:
        return f"{shown} is larger than {LARGEST_TEXT >> 20} MiB"
    return None if member.resizable else f"{shown} has its size in an extended header"


def printable(name: str) -> str:
    """A name as it can be stored and shown: bytes that are not UTF-8 are spelt out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def last(suffix: str) -> str:
    """The last part of a suffix: what programs take for the kind of file."""
    return suffix.rpartition(".")[2]


@lru_cache(4096)
def is_text(suffix: str) -> bool:
    """Whether a member is a caption as it stands, if the owner says nothing else."""
    return last(suffix) in ("txt", "tags") or usual(last(suffix))


def is_json(suffix: str) -> bool:
    """Whether a member is a JSON document."""
    return last(suffix) in ("json", "jsn")


def is_class(suffix: str) -> bool:
    """Whether a member is the number of a class."""
    return suffix in ("cls", "cls2")


@lru_cache(4096)
def is_picture(suffix: str) -> bool:
    """Whether a member is a picture."""
    return f".{last(suffix)}" in PICTURE_SUFFIXES
