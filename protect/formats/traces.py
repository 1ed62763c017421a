"""What a copy must not take over: files that hold an original, or its hash, or no data at all."""

from __future__ import annotations

_KEPT = frozenset({".gitattributes", ".gitignore", ".gitkeep"})
_SYSTEM = frozenset({"__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "__pycache__"})


def no_data(name: str) -> str:
    """Why a file or folder of this name is no part of a dataset; empty if it may be.

    >>> no_data(".git")
    'hidden'
    """
    if name.lower() in _SYSTEM:
        return "made by a system, may hold originals"
    return "hidden" if name.startswith(".") and name not in _KEPT else ""
