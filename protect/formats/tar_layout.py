"""How samples lie in an archive: where the last member ends, and which samples have others between their members."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from protect.formats.tar import Member, members
from protect.formats.tar_samples import TarSample, is_class, is_json, is_picture, is_text, samples


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known of an archive once it has been looked through."""

    end: int
    """Where the last member ends."""
    apart: frozenset[str]
    """Keys of samples whose members do not follow each other. Readers would take each run of them for a sample, and
    what stands in the others would show how a changed one was before."""


def layout(stream: BinaryIO) -> Layout:
    """Look through a whole archive, headers alone.

    Memory: 8 bytes a sample.

    Args:
        stream: a seekable file.

    Raises:
        TarError: if it cannot be read whole.
    """
    end = 0

    def every_member() -> Iterator[Member]:
        nonlocal end
        for member in members(stream):
            end = member.end
            yield member

    hashes = array("q", (hash(sample.key) for sample in samples(every_member())))
    numbers, counts = np.unique(np.asarray(hashes), return_counts=True)
    return Layout(end, _apart(stream, frozenset(numbers[counts > 1].tolist())))


def _apart(stream: BinaryIO, hashes: Collection[int]) -> frozenset[str]:
    """Keys with several runs of members, not each of which is a sample of its own: that would be one key twice."""
    runs, whole = Counter[str](), Counter[str]()
    for sample in samples(members(stream)) if hashes else ():
        if hash(sample.key) in hashes:
            runs[sample.key] += 1
            whole[sample.key] += _is_whole(sample)
    return frozenset(key for key, count in runs.items() if whole[key] < count > 1)


def _is_whole(sample: TarSample) -> bool:
    suffixes = [suffix for suffix, _ in sample.members]
    captioned = any(is_text(suffix) or is_json(suffix) or is_class(suffix) for suffix in suffixes)
    return captioned and any(map(is_picture, suffixes))
