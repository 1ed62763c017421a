"""Weights that lie in a pipeline's folder and that its loader passes over."""

from __future__ import annotations

from pathlib import Path

from detect.suspects.images.lora import EARLIER
from detect.suspects.images.weights import NOT_LOADED, PICKLES, is_component_file, read_index, some
from protect.errors import SuspectError

_KINDS = {".safetensors", ".gguf", *PICKLES}
_OTHER_RUNTIMES = {"openvino_model.bin", "training_args.bin"}
_SETTINGS_OF_ADAPTERS = "adapter_config.json"


def find_beside(folder: Path) -> list[Path]:
    """Weight files that belong to no component of the index, and settings of adapters that a loader would follow.

    States which a trainer left on its way (`checkpoint-500`) are not among them: `earlier_states` names those.
    """
    parts = {name for name in read_index(folder) if not name.startswith("_")}
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if not path.is_file() or EARLIER.fullmatch(inside[0]) or any(part.startswith(".") for part in inside):
            continue
        component = (
            len(inside) == 2 and inside[0] in parts and (inside[0] in NOT_LOADED or is_component_file(path.name))
        )
        adapter = path.name == _SETTINGS_OF_ADAPTERS
        if adapter or (path.suffix.lower() in _KINDS and path.name not in _OTHER_RUNTIMES and not component):
            found.append(path)
    return found


def earlier_states(folder: Path) -> list[str]:
    """Names of sub-folders with states that a trainer left on its way."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and EARLIER.fullmatch(path.name))


def refuse_beside(folder: Path, found: list[Path]) -> None:
    """Raise SuspectError for weights that would not be part of the test."""
    if not found:
        return
    names = some(path.relative_to(folder).as_posix() for path in found)
    raise SuspectError(
        f"{folder} is a whole pipeline with other weights beside it, which would not be applied: {names}",
        f"Add one with --model {found[0]}, test it by itself with --base {folder}, or leave them out: --pipeline-only.",
    )
