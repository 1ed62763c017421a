"""Models as the hub's client keeps them: `models--organisation--name/snapshots/COMMIT`."""

from __future__ import annotations

from pathlib import Path

from protect.errors import SuspectError

_START = "models--"


def local_path(path: Path) -> Path:
    """The folder that holds a model: the newest snapshot of a hub cache, or the path itself.

    Raises:
        SuspectError: if there is nothing, or a cache without a snapshot, or with several and none called main.
    """
    if not path.exists():
        hint = "Give a local path; download models from a hub beforehand."
        raise SuspectError(f"no such file or folder: {path}", hint)
    snapshots = path / "snapshots"
    if not snapshots.is_dir() or (path / "model_index.json").exists():
        return path
    found = sorted(entry for entry in snapshots.iterdir() if entry.is_dir())
    main = path / "refs" / "main"
    if main.is_file():
        found = [entry for entry in found if entry.name == main.read_text(encoding="utf-8").strip()] or found
    if len(found) != 1:
        names = ", ".join(f"snapshots/{entry.name}" for entry in found[:3]) or "none"
        raise SuspectError(f"{path} is a hub's cache with {len(found)} snapshots ({names})", "Give one of them.")
    return found[0]


def name_of(path: Path) -> str:
    """What reports call a model: its own name, or organisation/name in a hub cache.

    >>> name_of(Path("hub/models--acme--style/snapshots/0a1b"))
    'acme/style'
    >>> name_of(Path("loras/style.safetensors"))
    'style.safetensors'
    """
    path = path.resolve() if path.is_dir() else path.absolute()  # a cache's files are links to names without meaning
    inside = [part for part in path.parts if part.startswith(_START)]
    if inside and path.parts[-1] != inside[-1] and path.suffix:
        return f"{inside[-1].removeprefix(_START).replace('--', '/')}/{path.name}"
    return inside[-1].removeprefix(_START).replace("--", "/") if inside else path.name
