"""Families and alignments that other packages add, found through entry points."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from protect.errors import InputError

T = TypeVar("T")


@cache
def _points(group: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def find_class(group: str, built_in: dict[str, type[T]], kind: type[Any], name: str) -> type[T]:
    """The class of a name: built in, else from an installed package; only the wanted one is loaded.

    Raises:
        InputError: if there is none, or the plug-in does not load, is no `kind`, or has another name.
    """
    if name in built_in:
        return built_in[name]
    for point in _points(group):
        if point.name == name:
            found: type[T] = _load(point, kind)
            return found
    known = ", ".join([*built_in, *(point.name for point in _points(group))])
    what = "mark family" if group.endswith("families") else "alignment"
    raise InputError(f"unknown {what} {name!r}", f"Choose one of: {known}.")


def _load(point: EntryPoint, kind: type[Any]) -> Any:
    try:
        found = point.load()
    except Exception as error:
        raise InputError(f"plug-in {point.value} does not load ({error})", "Mend or uninstall it.") from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise InputError(f"plug-in {point.value} is no {kind.__name__}", "Mend or uninstall it.")
    if getattr(found, "name", None) != point.name:
        # Releases remember the class's name: another one would be planted or found under it.
        raise InputError(
            f"plug-in {point.value} calls itself {getattr(found, 'name', None)!r}, not {point.name!r}",
            "Have it mended.",
        )
    return found


def with_plugins(group: str, built_in: dict[str, type[T]], kind: type[Any]) -> dict[str, type[T]]:
    """All classes by name, for listings; built-in names win.

    Raises:
        InputError: if a plug-in cannot be used.
    """
    return {point.name: _load(point, kind) for point in _points(group)} | built_in
