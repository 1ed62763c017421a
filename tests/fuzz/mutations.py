"""Damage: bytes changed, lost, doubled, moved, swapped for those of another file or for words that mean something."""

from __future__ import annotations

import random
from collections.abc import Sequence

_NUMBERS = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x01")
_WORDS = (
    *(b"0", b"-1", b"1e400", b"NaN", b"99999999999999999999", b"null", b"true", b'"', b"{", b"}", b"[", b"]", b","),
    *(b":", b"\n", b"\r\n", b"\t", b"\\", b"/", b"../", b"/etc/passwd", b"\\ud800", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *("e\u0301".encode(), "\u202e".encode(), "𝕏".encode(), b"  ", b"%s", b"[" * 300, b'{"a":' * 200),
)
MOST_CHANGES = 6


def mutated(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of some files with up to six damages."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, MOST_CHANGES)):
        _damage(data, seeds, rng)
    return bytes(data)


def _damage(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    end = min(len(data), start + min(rng.choice((1, 1, 2, 4, 16, 512, 4096)), len(data)))
    kind = rng.randrange(8)
    if kind == 0 and start < len(data):
        data[start] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[start:end] = rng.randbytes(end - start)
    elif kind == 2:
        del data[start:end]
    elif kind == 3:
        data[start:start] = data[start:end]
    elif kind == 4:
        other = rng.choice(seeds)
        place = rng.randrange(len(other) + 1)
        data[start:end] = other[place : place + end - start]
    elif kind == 5:
        number = rng.choice(_NUMBERS)
        data[start : start + len(number)] = number
    elif kind == 6:
        word = rng.choice(_WORDS)
        data[start : start + rng.choice((0, len(word)))] = word
    elif rng.random() < 0.2:
        del data[start:]
