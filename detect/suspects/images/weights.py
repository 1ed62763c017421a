"""Weight files: found, opened and compared with what was really loaded.

diffusers and transformers fill weights that a file lacks with random numbers and only log it. A suspect
loaded like that has forgotten its training and would be acquitted, so every tensor is traced to a file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from protect.errors import SuspectError
from protect.files import canonical_json, sha256_file

PICKLES = {".bin", ".ckpt", ".pt", ".pth"}
NOT_LOADED = {"safety_checker", "feature_extractor"}
_WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)(?:\.(?P<variant>\w+?))?(?:-\d+-of-\d+)?(?:\.\w+)?"
    r"\.(?:safetensors|bin)"
)


WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin"})
SETTING_SUFFIXES = frozenset({".json", ".txt", ".model"})
"""Configurations and tokenizers."""


def first_line(error: BaseException) -> str:
    """The first line of a foreign error that says something, at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


def some(names: Iterable[str]) -> str:
    """Up to five names, then an ellipsis."""
    names = list(names)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def refuse_pickle(path: Path, allow_pickle: bool) -> None:
    """Raise SuspectError for a pickle unless pickles are allowed."""
    if path.suffix in PICKLES and not allow_pickle:
        raise SuspectError(
            f"{path} is a pickle, which can run code when it is opened",
            "Convert it to .safetensors, or pass --allow-pickle if you trust where it comes from.",
        )


def read_names(path: Path) -> list[str]:
    """Names of the tensors in a weights file, in file order."""
    if path.suffix in PICKLES:
        return list(_unpickle(path))
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise _corrupt(path, error) from error


def read_metadata(path: Path) -> dict[str, str]:
    """The header of a weights file: what its maker wrote there; empty for a pickle."""
    if path.suffix in PICKLES:
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _corrupt(path, error) from error


def read_tensors(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """The named tensors of a weights file."""
    if path.suffix in PICKLES:
        tensors = _unpickle(path)
        return {name: tensors[name] for name in names}
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise _corrupt(path, error) from error


def _unpickle(path: Path) -> dict[str, Tensor]:
    """Tensors of a pickle; torch refuses everything in it but tensors and plain containers."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _corrupt(path, error) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def _corrupt(path: Path, error: BaseException) -> SuspectError:
    return SuspectError(
        f"{path} is truncated or not a weights file ({first_line(error)})", "Download or export it again."
    )


def read_index(folder: Path) -> dict[str, Any]:
    """The parsed model_index.json of a pipeline folder."""
    if not folder.exists():
        raise SuspectError(f"no such folder: {folder}", "Give a local path; download models from a hub beforehand.")
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SuspectError(
            f"{folder / 'model_index.json'} cannot be read ({first_line(error)})",
            "Download or export it again.",
        ) from error
    if not isinstance(index, dict) or "_class_name" not in index:
        raise SuspectError(
            f"{folder / 'model_index.json'} names no pipeline class", "Give a folder saved by diffusers."
        )
    return index


def components(folder: Path) -> list[str]:
    """Names of the sub-folders a pipeline is loaded from."""
    entries = read_index(folder).items()
    parts = [k for k, v in entries if isinstance(v, list) and len(v) == 2 and v[0] and not k.startswith("_")]
    parts = [name for name in parts if name not in NOT_LOADED]
    if absent := [name for name in parts if not (folder / name).is_dir()]:
        raise SuspectError(f"{folder} lacks {some(f'{name}/' for name in absent)}", "Download or export it again.")
    return parts


def folder_digest(folder: Path, suffixes: frozenset[str] = WEIGHT_SUFFIXES) -> str:
    """SHA-256 over the files of some kinds that the pipeline is loaded from.

    The weights alone name a model: a stray file or an edited configuration does not make it another suspect.
    """
    files = [folder / "model_index.json"] if ".json" in suffixes else []
    for name in components(folder):
        files += sorted(p for p in (folder / name).rglob("*") if p.is_file() and p.suffix in suffixes)
    listing = {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
    return hashlib.sha256(canonical_json(listing)).hexdigest()


def _weight_files(folder: Path) -> dict[str | None, list[Path]]:
    """Weight files of one component by variant (None, "fp16", …); safetensors win over pickles."""
    found: dict[str | None, list[Path]] = {}
    for suffix in ("safetensors", "bin"):
        for path in sorted(folder.glob(f"*.{suffix}")):
            if match := _WEIGHTS.fullmatch(path.name):
                found.setdefault(match["variant"], []).append(path)
        if found:
            break
    return found


def choose_files(folder: Path, allow_pickle: bool) -> tuple[str | None, dict[str, list[Path]]]:
    """The weight files of every component that has weights, and the variant to ask the loader for.

    Raises:
        SuspectError: if a component has no weights, only pickles, or a file that cannot be opened.
    """
    chosen: dict[str, list[Path]] = {}
    variant = None
    for name in components(folder):
        if not (folder / name / "config.json").is_file():
            continue  # a scheduler or tokenizer
        found = _weight_files(folder / name)
        if not found:
            raise SuspectError(f"{folder / name} holds no weights", "Download or export it again.")
        key = None if None in found else min(v for v in found if v)
        variant = variant or key
        chosen[name] = found[key]
        for path in chosen[name]:
            refuse_pickle(path, allow_pickle)
            read_names(path)
    return variant, chosen


def fingerprint(tensor: Tensor) -> tuple[int, bytes]:
    """Size and about 64 evenly spaced values; equal for the same weights at another shape or name."""
    flat = tensor.detach().reshape(-1)
    picked = flat[:: max(1, flat.numel() // 64)].float().cpu()
    return flat.numel(), picked.numpy().tobytes()


def _unfilled(state: dict[str, Tensor], files: list[Path]) -> tuple[list[str], list[str]]:
    """Loaded names whose values come from no file, and file names that no loaded name claims.

    Names alone would refuse sound models: the libraries rename old checkpoints while loading, and tie
    weights. So a name absent from the files passes if its values are found there under an unclaimed name.
    """
    stored = {name: path for path in files for name in read_names(path)}
    spare_names = [name for name in stored if name not in state]
    spare = Counter(
        fingerprint(tensor)
        for path in files
        for tensor in read_tensors(path, [n for n in spare_names if stored[n] == path]).values()
    )
    filled = {tensor.data_ptr() for name, tensor in state.items() if name in stored and not tensor.is_meta}
    lost = []
    for name, tensor in state.items():
        if tensor.is_meta:  # never given any value
            lost.append(name)
        elif name in stored or tensor.data_ptr() in filled:
            continue
        elif spare[mark := fingerprint(tensor)] > 0:
            spare[mark] -= 1
            filled.add(tensor.data_ptr())
        else:
            lost.append(name)
    return lost, spare_names


def check_filled(folder: Path, name: str, module: torch.nn.Module, files: list[Path]) -> None:
    """Raise SuspectError if a weight of `module` was not read from `files` (it would be random)."""
    state = module.state_dict()
    lost, unclaimed = _unfilled(state, files)
    adapter = any("base_layer" in key or ".lora_" in key for key in unclaimed)
    if adapter and not lost:
        raise SuspectError(
            f"{folder / name} holds LoRA weights that would not be applied: {some(unclaimed)}",
            "Call fuse_lora() and unload_lora_weights(), then save again.",
        )
    if not lost:
        return
    raise SuspectError(
        f"{folder / name} lacks {len(lost)} of {len(state)} weights, which would be random: {some(lost)}",
        "It was saved with a LoRA attached: call fuse_lora() and unload_lora_weights(), then save again."
        if adapter
        else "Download or export it again.",
    )
