"""Single files: whole checkpoints of model exchanges, and denoisers by themselves, in the frame of a base.

The base gives configurations, tokenizers and the scheduler, and the weights of what the file does not hold; which
parts came from it is said. Every tensor of the file must arrive in the pipeline, and every weight of a part that the
file holds must come from it: rows are counted before and after diffusers has renamed and split them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from detect.suspects.images.accounting import Rows, check_filled, check_finite
from detect.suspects.images.component import build_component, in_precision
from detect.suspects.images.folder import check_parts, loading_options
from detect.suspects.images.foreign import loading_error
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import (
    NOT_LOADED,
    choose_files,
    read_index,
    read_names,
    read_tensors,
    some,
)
from protect.errors import SuspectError

_PARTS = {
    "vae": re.compile(r"first_stage_model\.|vae\."),
    "text": re.compile(r"cond_stage_model\.|conditioner\.embedders\.|text_encoders\.|text_encoder\w*\."),
}
"""Names of a checkpoint's parts beside its denoiser."""

_NO_WEIGHTS = re.compile(
    r"(?:model_ema\.|first_stage_model\.loss\.|denoiser\.).*|alphas_\w+|betas|sqrt_\w+|log_one_minus_\w+|posterior_\w+|"
    r"lvlb_weights|global_step|logvar|scale_factor|.*\.position_ids|.*\.logit_scale|.*embeddings\.position_ids|"
    r"model_sampling\..*|.*\.causal_mask|.*\.attn_mask"
)
"""Entries that take no part in drawing: tables of the noise schedule, running averages beside the weights, counters."""

_SWITCHES = {"v_pred": ("prediction_type", "v_prediction"), "ztsnr": ("rescale_betas_zero_snr", True)}
"""Entries whose mere presence says how a model predicts, and what the scheduler must say then."""
_OPEN_CLIP = re.compile(
    r"(?:cond_stage_model|conditioner\.embedders\.\d)\.model\.(?:text_projection|transformer\.resblocks\.(?P<layer>\d+)\..*)"
)
_MOSTLY = 0.9
"""Share of missing weights from which a component counts as absent: small vectors may agree by chance."""
_EIGHT_BITS = re.compile(r".*\.(?:scale_weight|scale_input|weight_scale|input_scale)|scaled_fp8|.*\.comfy_quant")
_OTHERS = (
    ("a ControlNet, which needs pictures", re.compile(r"control_model\.|controlnet_|zero_convs\.|input_hint_block\.")),
    ("an IP-Adapter, which needs pictures", re.compile(r"image_proj\.|ip_adapter\.")),
    ("a VAE alone", re.compile(r"(?:encoder|decoder|quant_conv|post_quant_conv)\.")),
    ("a text encoder alone", re.compile(r"text_model\.|encoder\.block\.|shared\.weight|transformer\.resblocks\.")),
    ("an upscaler", re.compile(r"body\.\d+\.rdb|conv_first\.|model\.\d+\.sub")),
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a single file holds."""

    files: tuple[Path, ...]
    """One, or the shards of a denoiser."""
    names: list[str]
    parts: frozenset[str]
    """`denoiser`, and maybe `vae` and `text`."""

    @property
    def path(self) -> Path:
        """The file, for messages; the folder of shards."""
        return self.files[0] if len(self.files) == 1 else self.files[0].parent


def read_checkpoint(files: tuple[Path, ...]) -> Checkpoint:
    """Which parts of a model a file holds.

    Raises:
        SuspectError: if it is something else.
    """
    path, names = files[0], [name for file in files for name in read_names(file)]
    for what, pattern in _OTHERS:
        if names and sum(bool(pattern.match(name)) for name in names) > len(names) / 2:
            raise SuspectError(f"{path} is {what}", "Give the model that draws: a folder, a checkpoint or a LoRA.")
    if scaled := [name for name in names if _EIGHT_BITS.fullmatch(name)]:
        raise SuspectError(
            f"{path} holds weights in scaled eight bits, which are not opened here: {some(scaled)}",
            "Ask for the same model in float16 or bfloat16.",
        )
    if not any(len(name) > 3 for name in names):
        raise SuspectError(f"{path} holds no weights of a model: {some(names) or 'it is empty'}", "Give another file.")
    parts = {part for part, pattern in _PARTS.items() if any(pattern.match(name) for name in names)}
    return Checkpoint(files, names, frozenset(parts | {"denoiser"}))


def load_checkpoint(
    checkpoint: Checkpoint, base: Path, dtype: torch.dtype, allow_pickle: bool
) -> tuple[Any, list[str]]:
    """A single file as a pipeline on the CPU.

    Args:
        checkpoint: the file.
        base: a diffusers folder of the same family.
        dtype: precision in which weights are kept.
        allow_pickle: read pickled weights of the base.

    Returns:
        The pipeline, and the components whose weights are the base's.

    Raises:
        SuspectError: if the file does not fit the base, or anything of it is left out.
    """
    path = checkpoint.path
    tensors: dict[str, Tensor] = {}
    for file in checkpoint.files:
        tensors |= read_tensors(file, read_names(file))
    check_finite(path, tensors)
    _check_switches(checkpoint, base)
    parts = {name: part for name, part in read_index(base).items() if isinstance(part, list) and part[0]}
    built = {
        name: build_component(path, base, name, parts[name], tensors)
        for name in parts
        if _part_of(base, name) in checkpoint.parts
    }
    built = {name: module for name, module in built.items() if module is not None}
    missing = _account(path, base, tensors, built)
    built = {name: in_precision(module, dtype) for name, module in built.items() if name not in missing}
    variant, files = choose_files(base, allow_pickle, leave_out=set(built))
    options = loading_options(base) | {"use_safetensors": not allow_pickle or None, "torch_dtype": dtype} | built
    if variant:
        options["variant"] = variant
    try:
        with silenced_libraries():
            loader: Any = DiffusionPipeline  # untyped
            pipeline = loader.from_pretrained(str(base), **options)
    except Exception as error:
        raise loading_error(base, error) from error
    for name, paths in files.items():
        check_filled(base, name, getattr(pipeline, name), paths)
    check_parts(base, pipeline)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, sorted(files)


def _check_switches(checkpoint: Checkpoint, base: Path) -> None:
    """Refuse a base whose scheduler contradicts what the file says of its predictions."""
    path = base / "scheduler" / "scheduler_config.json"
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name, (setting, wanted) in _SWITCHES.items():
        if name in checkpoint.names and said.get(setting) != wanted:
            raise SuspectError(
                f"{checkpoint.path} says {name}, but the scheduler of {base} has {setting} {said.get(setting)!r}",
                f"Give a --base of the same family; its scheduler_config.json needs {setting}: {json.dumps(wanted)}.",
            )


def _part_of(base: Path, name: str) -> str:
    """Which part of a checkpoint a component's weights are in; empty for a component without weights."""
    if name in NOT_LOADED or not (base / name / "config.json").is_file():
        return ""
    if name.startswith("text_encoder"):
        return "text"
    return {"vae": "vae", "unet": "denoiser", "transformer": "denoiser"}.get(name, "")


def _account(path: Path, base: Path, tensors: Mapping[str, Tensor], built: Mapping[str, Any]) -> set[str]:
    """Trace every tensor of the file to the components, and back.

    Returns:
        Components of which the file holds nothing.

    Raises:
        SuspectError: if a tensor is not used, or a component came from the file in part.
    """
    states = {name: module.state_dict() for name, module in built.items()}
    pools: dict[torch.dtype, Rows] = {}
    missing = {name for name, state in states.items() if not _came_from(path, base / name, state, tensors, pools)}
    loaded = [tensor for name, state in states.items() if name not in missing for tensor in state.values()]
    rows, dtypes = Rows(loaded), {tensor.dtype for tensor in loaded if tensor.is_floating_point()}
    layers = [getattr(module.config, "num_hidden_layers", 0) for name, module in built.items() if "text" in name]
    unused = [
        name
        for name, tensor in tensors.items()
        if not _NO_WEIGHTS.fullmatch(name)
        and name not in _SWITCHES
        and not any(rows.take(tensor.to(dtype)) for dtype in dtypes)
        and not _is_past(name, layers)
    ]
    if unused:
        raise SuspectError(
            f"{path}: {len(unused)} of {len(tensors)} tensors have no place in {base}: {some(unused)}",
            "Give a --base of the same family; test adapters and embeddings that were packed in by themselves.",
        )
    return missing


def _came_from(
    path: Path,
    place: Path,
    state: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    pools: dict[torch.dtype, Rows],
) -> bool:
    """Whether a component's weights are the file's: all of them, or none.

    Args:
        path: the file, for messages.
        place: the component, for messages.
        state: its weights.
        tensors: the file's.
        pools: rows of the file that no component has taken yet, by precision.
    """
    lost = []
    for name, tensor in state.items():
        if tensor.is_meta:
            lost.append(name)
        elif tensor.is_floating_point():
            if tensor.dtype not in pools:
                pools[tensor.dtype] = Rows(own.to(tensor.dtype) for own in tensors.values())
            if not pools[tensor.dtype].take(tensor) and not _is_identity(tensor):
                lost.append(name)
    if lost and len(lost) < _MOSTLY * len(state):
        raise SuspectError(
            f"{path} lacks {len(lost)} of {len(state)} weights of {place}: {some(lost)}",
            "The file is incomplete, or made for another base: give a --base of the same family.",
        )
    return not lost


def _is_identity(tensor: Tensor) -> bool:
    """Whether a weight is the identity, which converters put where there is no projection."""
    square = tensor.ndim == 2 and tensor.shape[0] == tensor.shape[1]
    return square and torch.equal(tensor, torch.eye(len(tensor), dtype=tensor.dtype))


def _is_past(name: str, layers: Sequence[int]) -> bool:
    """Whether a tensor is of an OpenCLIP encoder's end, which models that use its last but one layer leave out."""
    match = _OPEN_CLIP.fullmatch(name)
    if match is None:
        return False
    return match["layer"] is None or int(match["layer"]) >= min(layers, default=0) > 0
