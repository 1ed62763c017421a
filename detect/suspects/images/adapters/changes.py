"""What a group of an adapter does to a weight: the formulas.

A weight is taken flat, shape (rows, columns): outputs by everything else, so columns hold a convolution's kernel.
LoRA: arXiv 2106.09685; DoRA: 2402.09353; LoCon, LoHa and LoKr: 2309.14859.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from detect.suspects.images.adapters.groups import Group
from detect.suspects.images.weights import some
from protect.errors import SuspectError

_LENGTHS = ("magnitude", "dora_scale")


def flat(weight: Tensor) -> Tensor:
    """A weight as rows on the CPU, float64, shape (outputs, everything else); vectors become one column.

    In float64 a small change of a large weight is not lost to rounding, so it can be checked.
    """
    return weight.detach().cpu().double().reshape(len(weight), -1)


def check_shapes(path: Path, groups: Sequence[Group]) -> None:
    """Raise SuspectError for a group whose tensors do not fit each other."""
    for group in groups:
        try:
            rows, columns = shape_of(group)
            fits = rows > 0 and columns != 0 and _magnitude_fits(group, rows, columns)
        except (IndexError, ValueError, RuntimeError, TypeError):
            fits = False
        if not fits:
            shapes = ", ".join(f"{group.names[part]} {tuple(tensor.shape)}" for part, tensor in group.parts.items())
            raise SuspectError(f"{path}: shapes do not fit together: {shapes}", "Download or export the file again.")


def check_lengths(path: Path, groups: Sequence[Group]) -> None:
    """Raise SuspectError for a DoRA of which some layers lack their lengths: trainers set all or none."""
    paired = [group for group in groups if group.kind != "full"]
    names = [name for group in paired for part, name in group.names.items() if part in _LENGTHS]
    without = [group.stem for group in paired if lengths_of(group) is None]
    if names and without:
        ending = names[0].rpartition(".")[2]
        raise SuspectError(
            f"{path} lacks {ending} for {len(without)} of {len(paired)} layers: {some(without)}",
            "The file is incomplete: download or export it again.",
        )


def shape_of(group: Group) -> tuple[int, int | None]:
    """Rows and columns of the weight that a group changes; no columns where only a bias is changed.

    Raises:
        ValueError: if its tensors do not fit together (`check_shapes` says which).
    """
    parts = group.parts
    if group.kind == "lora":
        return _lora_shape(parts)
    if group.kind == "full":
        weight = parts.get("diff")
        return (len(parts["diff_b"]), None) if weight is None else (len(weight), weight[0].numel())
    from detect.suspects.images.adapters.lycoris import shape_of_product

    return shape_of_product(group)


def _magnitude_fits(group: Group, rows: int, columns: int | None) -> bool:
    magnitude = lengths_of(group)
    if magnitude is None:
        return True
    return columns is not None and (
        magnitude.numel() == rows or (not _is_by_row(group, columns) and columns % magnitude.numel() == 0)
    )


def lengths_of(group: Group) -> Tensor | None:
    """The lengths that DoRA gives to a weight's rows (PEFT, LyCORIS), or to its input channels (LyCORIS)."""
    return next((group.parts[name] for name in _LENGTHS if name in group.parts), None)


def _is_by_row(group: Group, columns: int) -> bool:
    """LyCORIS puts lengths of input channels along the second dimension; PEFT puts lengths of rows there, too."""
    scale = group.parts.get("dora_scale")
    return scale is None or scale.ndim < 2 or scale.shape[0] > 1 or columns % scale.numel() > 0


def _lora_shape(parts: dict[str, Tensor]) -> tuple[int, int]:
    up, down = parts["up"], parts["down"]
    rank = down.shape[0]
    if up.ndim < 2 or down.ndim < 2 or up[0].numel() != (parts["mid"].shape[0] if "mid" in parts else rank):
        raise ValueError("ranks differ")
    if "mid" in parts:
        if parts["mid"].ndim < 3 or parts["mid"].shape[1] != rank or down[0].numel() != down.shape[1]:
            raise ValueError("a middle that does not fit")
        return len(up), down.shape[1] * parts["mid"][0, 0].numel()
    return len(up), down[0].numel()


def change_of(group: Group, scale: float) -> Tensor:
    """The change of a weight before any magnitude is set, float64 (rows, columns)."""
    parts = group.parts
    if group.kind == "full":
        return flat(parts["diff"])
    if group.kind == "lora":
        return _low_rank(parts, scale)
    from detect.suspects.images.adapters.lycoris import product_of

    return product_of(group, scale)


def _low_rank(parts: dict[str, Tensor], scale: float) -> Tensor:
    up, down = flat(parts["up"]), flat(parts["down"])
    if "mid" not in parts:
        return (up * scale) @ down
    middle = parts["mid"].double()
    core = torch.einsum("op,pqk,qi->oik", up * scale, middle.reshape(*middle.shape[:2], -1), down)
    return core.reshape(len(up), -1)


def project(group: Group, scale: float, probe: Tensor) -> Tensor:
    """The change of a LoRA's weight applied to a vector of columns, factor by factor: a second way to reach it."""
    parts = group.parts
    up = flat(parts["up"])
    if "mid" not in parts:
        return scale * (up @ (flat(parts["down"]) @ probe))
    down, middle = flat(parts["down"]), parts["mid"].double()
    inner = torch.einsum("qi,ik->qk", down, probe.reshape(down.shape[1], -1))
    return scale * (up @ torch.einsum("pqk,qk->p", middle.reshape(*middle.shape[:2], -1), inner))


def merged(group: Group, weight: Tensor, change: Tensor, strength: float) -> Tensor:
    """A weight with its change.

    Args:
        group: says whether lengths are set, as DoRA does.
        weight: before, float64 (rows, columns).
        change: of the same shape.
        strength: the user's factor on the whole difference; 1 is the adapter as trained.
    """
    moved = weight + change
    lengths = lengths_of(group)
    if lengths is not None and _is_by_row(group, weight.shape[1]):
        moved = moved * (lengths.double().reshape(-1, 1) / moved.norm(dim=1, keepdim=True))
    elif lengths is not None:
        channels = moved.reshape(len(weight), lengths.numel(), -1)
        channels = channels * (lengths.double().reshape(1, -1, 1) / channels.norm(dim=(0, 2), keepdim=True))
        moved = channels.reshape(weight.shape)
    return moved if strength == 1 else weight + strength * (moved - weight)


def is_idle(group: Group) -> bool:
    """Whether a group changes nothing, wherever it is put: trainers also write pairs of layers that stayed."""
    parts = group.parts
    if lengths_of(group) is not None or group.kind in ("loha", "lokr"):
        return False
    telling = ("up", "bias", "diff_b") if group.kind == "lora" else ("diff", "diff_b")
    return not any(bool(parts[part].any()) for part in telling if part in parts)


def bias_change(group: Group, scale: float) -> Tensor | None:
    """The change of the layer's bias, float64 (rows,); None if there is none."""
    if "diff_b" in group.parts and "bias" in group.parts:
        return group.parts["diff_b"].double().flatten() + scale * group.parts["bias"].double().flatten()
    if "diff_b" in group.parts:
        return group.parts["diff_b"].double().flatten()
    return scale * group.parts["bias"].double().flatten() if "bias" in group.parts else None
