"""Names that people type: two spellings of one name are one name."""

from __future__ import annotations

import unicodedata


def known_as(name: str) -> str:
    """What two spellings of one name have in common.

    >>> known_as("  ACME\\u00a0 Ltd ") == known_as("Acme Ltd")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
