"""Files beside a dataset that repeat its captions or the hashes of its pictures: lists of prompts, catalogues, logs.

A few samples are looked for in them. Whoever compares such a file with a copy finds every sample that changed.
"""

from __future__ import annotations

import hashlib
import html
import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from protect.formats.record import LeftOut, Record

MOST_BYTES = 64 << 20
"""How much of a file is looked at."""
MOST_FILES = 50
"""How many files of one ending are looked at."""
_TEXT = re.compile(
    r"|\.(txt|[ct]sv|(nd)?jsonl?|ya?ml|xml|html?|xmp|lst|list|log|toml|ini|cfg|srt|dat|captions?|tags|prompts?)"
)
_FOR_PEOPLE = re.compile(r"(readme|licen[cs]e|notice|citation|changelog|copying|authors)([-_. ].*)?", re.IGNORECASE)
_LONG = 12
"""Characters from which a caption inside a file is no accident."""
_FEW = 9
"""Short captions of which no number says anything."""
_HASHED = 3
"""Pictures whose hashes are looked for."""
_HASHES = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True, slots=True)
class _Sought:
    """What is looked for in a file."""

    long: frozenset[bytes]
    """Captions of which one is enough, in the ways that files write them."""
    short: tuple[bytes, ...]
    """Captions that may stand anywhere: most of them must be there."""
    hashes: frozenset[bytes]

    @classmethod
    def of(cls, samples: Sequence[Record], *, captions: bool) -> _Sought:
        texts = {text for sample in samples for text in sample.captions.values()} if captions else set()
        data = list(_files(samples))
        hashes = {hashlib.new(kind, one, usedforsecurity=False).hexdigest() for one in data for kind in _HASHES}
        return cls(
            frozenset(way for text in texts if len(text) >= _LONG for way in _ways(text)),
            tuple(text.encode() for text in sorted(texts) if len(text) < _LONG and " " in text),
            frozenset(value.encode() for value in hashes),
        )

    def inside(self, data: bytes) -> str:
        """What of it a file holds, as a reason; empty if nothing."""
        most = 2 * sum(text in data for text in self.short) > max(len(self.short), _FEW)
        if most or any(text in data for text in self.long):
            return "repeats captions as they were"
        lower = data.lower()
        return "tells which files changed" if any(value in lower for value in self.hashes) else ""


def repeats(
    root: Path, others: Iterable[str], samples: Sequence[Record], *, captions: bool = True
) -> Iterator[LeftOut]:
    """Files that repeat what samples hold. Where there are many of one ending, the rest is judged by the first.

    Args:
        root: the dataset's folder.
        others: files that are neither pictures nor hold their captions.
        samples: some samples.
        captions: whether captions may change at all.
    """
    by_ending: dict[str, list[str]] = defaultdict(list)
    for name in others:
        file = posixpath.basename(name)
        ending = posixpath.splitext(file)[1].lower()
        if _TEXT.fullmatch(ending) and not _FOR_PEOPLE.fullmatch(file):
            by_ending[ending].append(name)
    if not by_ending:
        return
    sought = _Sought.of(samples, captions=captions)
    for names in by_ending.values():
        found = [(name, sought.inside(_start(root / name))) for name in names[:MOST_FILES]]
        alike = next((reason for _, reason in found if reason), "")
        found += [(name, alike) for name in names[MOST_FILES:]]
        yield from (LeftOut(name, reason) for name, reason in found if reason)


def _ways(text: str) -> Iterator[bytes]:
    """A text as files of several kinds write it."""
    yield text.encode()
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield html.escape(text).encode()
    yield text.replace('"', '""').encode()


def _files(samples: Sequence[Record]) -> Iterator[bytes]:
    for sample in samples[:_HASHED]:
        try:
            yield sample.read()
        except OSError:
            continue


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES)
