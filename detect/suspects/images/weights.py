"""Weight files: found and opened."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable
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
    r"(?:diffusion_pytorch_model|pytorch_model|model)(?:\.(?P<variant>\w+?))?"
    r"(?:-(?P<shard>\d+)-of-(?P<shards>\d+))?(?:\.(?P<late>\w+))?\.(?:safetensors|bin)"
)
"""A component's weights: the variant stands before a shard's number, or after it (older releases of transformers)."""

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


def read_pickle(path: Path) -> dict[str, Any]:
    """Entries of a pickle by name; torch refuses everything in it but tensors and plain containers.

    Raises:
        SuspectError: if it cannot be opened like that.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _corrupt(path, error) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    return {name: value for name, value in content.items() if isinstance(name, str)}


def _unpickle(path: Path) -> dict[str, Tensor]:
    """Tensors of a pickle."""
    return {name: value for name, value in read_pickle(path).items() if isinstance(value, Tensor)}


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


def is_component_file(name: str) -> bool:
    """Whether a file is called as a component's weights are, of whatever variant."""
    return _WEIGHTS.fullmatch(name) is not None


def _weight_files(folder: Path) -> dict[str | None, list[Path]]:
    """Weight files of one component by variant (None, "fp16", …); safetensors win over pickles."""
    found: dict[str | None, list[Path]] = {}
    for suffix in ("safetensors", "bin"):
        for path in sorted(folder.glob(f"*.{suffix}")):
            if match := _WEIGHTS.fullmatch(path.name):
                found.setdefault(match["variant"] or match["late"], []).append(path)
        if found:
            break
    return found


def check_shards(folder: Path, files: list[Path]) -> None:
    """Refuse a component that lacks a part of its weights."""
    matches = [match for path in files if (match := _WEIGHTS.fullmatch(path.name)) and match["shards"]]
    numbers = {int(match["shard"]) for match in matches}
    if matches and (absent := set(range(1, 1 + int(matches[0]["shards"]))) - numbers):
        which = some(str(number) for number in sorted(absent))
        raise SuspectError(
            f"{folder} lacks {len(absent)} of {int(matches[0]['shards'])} parts of its weights: {which}",
            "Download or export it again.",
        )


def choose_files(
    folder: Path, allow_pickle: bool, leave_out: Collection[str] = ()
) -> tuple[str | None, dict[str, list[Path]]]:
    """The weight files of every component that has weights, and the variant to ask the loader for.

    Args:
        folder: of a pipeline.
        allow_pickle: read pickled weights too.
        leave_out: components that are not loaded from here.

    Raises:
        SuspectError: if a component has no weights, only pickles, or a file that cannot be opened.
    """
    chosen: dict[str, list[Path]] = {}
    variant = None
    for name in components(folder):
        if name in leave_out or not (folder / name / "config.json").is_file():
            continue  # a scheduler or tokenizer
        found = _weight_files(folder / name)
        if not found:
            raise SuspectError(f"{folder / name} holds no weights", "Download or export it again.")
        key = None if None in found else min(v for v in found if v)
        variant = variant or key
        chosen[name] = found[key]
        check_shards(folder / name, found[key])
        for path in chosen[name]:
            refuse_pickle(path, allow_pickle)
            read_names(path)
    return variant, chosen
