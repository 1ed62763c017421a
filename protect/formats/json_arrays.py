"""Large JSON files of one object with long arrays, read element by element without holding them."""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = re.compile(rb'\{(?:[^"{}\[\]]++|' + _STRING + rb")*+\}", re.DOTALL)
_TOKEN = re.compile(_STRING + rb"|[\[\]{}]", re.DOTALL)


def elements(data: bytes | mmap.mmap, *names: str) -> Iterator[tuple[str, int, int]]:
    """Name of the array, start and end of every object in the top object's arrays of some names.

    >>> [(name, start, end) for name, start, end in elements(b'{"a": [{}, {"b": "]"}], "c": [{}]}', "a")]
    [('a', 7, 9), ('a', 11, 21)]

    Raises:
        ValueError: if brackets do not match.
    """
    depth = start = at = 0
    name, wanted = "", False
    while found := _TOKEN.search(data, at):
        at = found.end()
        mark = data[found.start()]
        if mark == ord('"'):
            name = json.loads(found.group()) if depth == 1 else name
        elif mark in b"]}":
            depth -= 1
            if depth == 2 and mark == ord("}") and wanted:
                yield name, start, at
        elif depth == 2 and mark == ord("{") and (flat := _FLAT.match(data, found.start())):
            at = flat.end()  # most elements hold no others: one step instead of dozens
            if wanted:
                yield name, found.start(), at
        else:
            wanted = mark == ord("[") and name in names if depth == 1 else wanted
            start = found.start() if depth == 2 else start
            depth += 1
    if depth:
        raise ValueError("it ends too early" if depth > 0 else "it has too many brackets")
