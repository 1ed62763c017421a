"""Hashes and sizes of a picture's file that stand beside its caption: a changed picture needs new ones."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping

from protect.formats.columns import Json

_KINDS = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_SIZE = re.compile(r"(^|_)(size|bytes|length|filesize)(_|$)")


def renewed(
    row: Json,
    read: Callable[[], bytes],
    released: Callable[[], bytes | None],
    changes: Mapping[str, str | int],
) -> dict[str, str | int]:
    """New values for the fields of a row that hold a hash or the size of its picture's file.

    Args:
        row: the row.
        read: reads the picture as stored.
        released: makes the picture as released; None if it does not change. Asked only if the row holds a fingerprint.
        changes: fields that change anyway; they are no fingerprints.

    Returns:
        New values by field; empty if the picture does not change, or its fingerprints are of something else.
    """
    found = [(field, value) for field, value in _fingerprints(row) if field not in changes]
    new = released() if found else None
    if new is None:
        return {}
    old = read()
    pairs = {field: (value, _like(value, old), _like(value, new)) for field, value in found}
    return {field: after for field, (value, before, after) in pairs.items() if value == before}


def _fingerprints(value: Json, field: str = "") -> Iterator[tuple[str, str | int]]:
    """What may be a hash by its form, or a size by its name."""
    if isinstance(value, str):
        if len(value) in _KINDS and _HEX.fullmatch(value):
            yield field, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(inner, str) or len(inner) in _KINDS:  # most values are neither hash nor number
                yield from _fingerprints(inner, f"{field}.{name}" if field else name)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _fingerprints(inner, f"{field}[{i}]")
    elif type(value) is int and _SIZE.search(field.rpartition(".")[2].lower()):
        yield field, value


def _like(value: str | int, data: bytes) -> str | int:
    """The fingerprint of the same kind as `value`."""
    if isinstance(value, int):
        return len(data)
    digest = hashlib.new(_KINDS[len(value)], data, usedforsecurity=False).hexdigest()
    return digest.upper() if value.isupper() else digest
