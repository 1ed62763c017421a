"""Families and alignments that other packages add, found through entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TypeVar

from protect.errors import InputError

T = TypeVar("T")


def with_plugins(group: str, built_in: dict[str, type[T]]) -> dict[str, type[T]]:
    """The built-in classes by name, and those installed under an entry point group.

    Raises:
        InputError: if a plug-in cannot be loaded or takes a built-in name.
    """
    found = dict(built_in)
    for point in entry_points(group=group):
        if point.name in found:
            raise InputError(f"plug-in {point.value} takes the name {point.name!r}", "Uninstall it or have it renamed.")
        try:
            found[point.name] = point.load()
        except Exception as error:
            raise InputError(f"plug-in {point.value} does not load ({error})", "Mend or uninstall it.") from error
    return found
