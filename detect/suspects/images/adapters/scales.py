"""How strongly each layer of an adapter counts: alpha over rank, wherever a file says so.

Three places are in use: an alpha tensor beside each pair (Kohya, LyCORIS), the settings in a file's header
(diffusers), and `adapter_config.json` beside the file (PEFT). Without any of them alpha is the rank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect.suspects.images.adapters.changes import lengths_of
from detect.suspects.images.adapters.groups import Group
from detect.suspects.images.weights import first_line, some
from protect.errors import SuspectError

PEFT_SETTINGS = "adapter_config.json"
PEFT_WEIGHTS = "adapter_model.safetensors"
PEFT_PREFIX = "base_model.model."
_HEADER_KEY = "lora_adapter_metadata"
_PEFT_KINDS = {"LORA": "lora", "LOHA": "loha", "LOKR": "lokr"}
_EXPORT_AGAIN = "The file is incomplete: download or export it again."


@dataclass(frozen=True, slots=True)
class Settings:
    """What PEFT writes about an adapter: rank and alpha, with exceptions for layers by name."""

    prefix: str
    """What comes before a layer's own name in the file."""
    rank: int
    alpha: float
    ranks: dict[str, int]
    alphas: dict[str, float]
    root: bool
    """Whether alpha is divided by the root of the rank."""

    def scale_of(self, stem: str, rank: int, path: Path) -> float:
        """Strength of a layer.

        Raises:
            SuspectError: if its rank is not what the settings say.
        """
        from peft.utils.other import get_pattern_key

        name = stem.removeprefix(self.prefix)
        said = self.ranks.get(get_pattern_key(list(self.ranks), name), self.rank)
        if said != rank:
            raise SuspectError(f"{path}: {stem} has rank {rank}, but its settings say {said}", _EXPORT_AGAIN)
        alpha = self.alphas.get(get_pattern_key(list(self.alphas), name), self.alpha)
        return alpha / (math.sqrt(rank) if self.root else rank)


def scales_of(path: Path, groups: Sequence[Group], metadata: Mapping[str, str]) -> dict[str, float]:
    """Strength of every group, by stem.

    Args:
        path: the adapter file; PEFT's settings are looked for beside it.
        groups: all groups of the file.
        metadata: the file's header.

    Raises:
        SuspectError: if the strengths are missing for some layers, given twice, or not numbers.
    """
    settings = _settings(path, groups, metadata)
    paired = [group for group in groups if group.kind != "full"]
    with_alpha = [group for group in paired if "alpha" in group.parts]
    if with_alpha and settings:
        raise SuspectError(
            f"{path} gives alpha twice, in {some(group.names['alpha'] for group in with_alpha)} and in its settings",
            "Export the adapter again with one of them.",
        )
    if with_alpha and len(with_alpha) < len(paired):
        without = [f"{group.stem}.alpha" for group in paired if "alpha" not in group.parts]
        raise SuspectError(
            f"{path} lacks alpha for {len(without)} of {len(paired)} layers: {some(without)}",
            _EXPORT_AGAIN,
        )
    return {group.stem: _scale(path, group, settings) for group in groups}


def rank_of(group: Group) -> int:
    """Inner dimension of a group's pair; 1 for a change that is written out or has none."""
    parts = group.parts
    if "down" in parts:
        return int(parts["down"].shape[0])
    if "hada_w1_b" in parts:
        return int(parts["hada_w1_b"].shape[0])
    return next((int(parts[name].shape[0]) for name in ("lokr_w1_b", "lokr_w2_b") if name in parts), 1)


def _scale(path: Path, group: Group, settings: Sequence[Settings]) -> float:
    if group.kind == "full" or (group.kind == "lokr" and {"lokr_w1", "lokr_w2"} <= group.parts.keys()):
        return 1.0  # nothing of low rank whose strength could be set
    if "alpha" in group.parts:
        return float(group.parts["alpha"]) / rank_of(group)
    if not settings:
        return 1.0
    own = next((one for one in settings if group.stem.startswith(one.prefix)), None)
    if own is None:
        raise SuspectError(f"{path}: its settings say nothing of {group.stem}", _EXPORT_AGAIN)
    return own.scale_of(group.stem, rank_of(group), path)


def _settings(path: Path, groups: Sequence[Group], metadata: Mapping[str, str]) -> list[Settings]:
    """PEFT's settings, of each component or of all."""
    beside = path.parent / PEFT_SETTINGS
    named = [group.stem for group in groups if group.stem.startswith(PEFT_PREFIX)]
    try:
        if _HEADER_KEY in metadata:
            content = json.loads(metadata[_HEADER_KEY])
            heads = sorted({key.split(".")[0] for key in content})
            return [_read(path, f"{head}.", _below(content, head)) for head in heads]
        if named and beside.is_file():
            return [
                _read(path, PEFT_PREFIX, _check_kind(beside, json.loads(beside.read_text(encoding="utf-8")), groups))
            ]
    except (OSError, ValueError, TypeError) as error:
        raise SuspectError(f"the settings of {path} cannot be read ({first_line(error)})", _EXPORT_AGAIN) from error
    if named:
        raise SuspectError(
            f"{path} is a PEFT adapter without its {PEFT_SETTINGS}, which says how strong it is",
            f"Put {PEFT_SETTINGS} beside it.",
        )
    return []


def _below(content: Mapping[str, Any], head: str) -> dict[str, Any]:
    return {key.removeprefix(f"{head}."): value for key, value in content.items() if key.startswith(f"{head}.")}


def _check_kind(path: Path, content: dict[str, Any], groups: Sequence[Group]) -> dict[str, Any]:
    """Refuse PEFT settings of another kind of adapter, or that promise more than low-rank pairs."""
    kind = content.get("peft_type")
    if _PEFT_KINDS.get(str(kind)) not in {group.kind for group in groups}:
        raise SuspectError(
            f"{path} describes an adapter of the kind {kind}, which is not opened here",
            "Merge it into its base with merge_and_unload(), save the whole, and test that.",
        )
    for name in ("modules_to_save", "layer_replication", "megatron_config", "trainable_token_indices"):
        if content.get(name):
            raise SuspectError(f"{path} sets {name}, which is not opened here", "Merge it into its base and test that.")
    if content.get("use_dora") and all(lengths_of(group) is None for group in groups):
        raise SuspectError(f"{path} says DoRA, but the weights lack lora_magnitude_vector", _EXPORT_AGAIN)
    return content


def _read(path: Path, prefix: str, content: Mapping[str, Any]) -> Settings:
    rank, alpha = content.get("r"), content.get("lora_alpha", content.get("alpha"))
    if not isinstance(rank, int) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise SuspectError(f"the settings of {path} name no rank and alpha", _EXPORT_AGAIN)
    return Settings(
        prefix=prefix,
        rank=rank,
        alpha=float(alpha),
        ranks=dict(content.get("rank_pattern") or {}),
        alphas=dict(content.get("alpha_pattern") or {}),
        root=bool(content.get("use_rslora")),
    )
