"""An adapter melted into the weights of a pipeline, and checked there.

Changes are computed in float64 from the file's own tensors. Each is checked against the same change reached another
way, and the fused weights are read back: they must be the sum, up to the rounding of their precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detect.suspects.images.adapters.changes import bias_change, change_of, flat, lengths_of, merged, project
from detect.suspects.images.adapters.groups import Group
from detect.suspects.images.adapters.places import Place
from protect.errors import SuspectError

TOLERANCE = 1e-6
"""Largest error of a fused change, relative to it, before rounding to the weights' precision."""


@torch.no_grad()
def fuse(
    path: Path,
    groups: Sequence[Group],
    scales: Mapping[str, float],
    places: Mapping[str, Sequence[Place]],
    strength: float,
) -> float:
    """Change the layers of a pipeline as an adapter says.

    Args:
        path: the adapter file, for messages.
        groups: its groups.
        scales: alpha over rank of each group, by stem.
        places: the layers of each group, by stem.
        strength: the user's factor on the whole difference.

    Returns:
        The largest relative error of a fused change that was found.

    Raises:
        SuspectError: if a fused change is not what the file says, or if nothing changes at all.
    """
    worst, moved = 0.0, False
    for group in groups:
        error, size = _fuse_group(path, group, scales[group.stem], places[group.stem], strength)
        worst, moved = max(worst, error), moved or size > 0
    if not moved:
        raise SuspectError(
            f"{path} changes nothing: with it the model is its base", "Test a file that was saved after training."
        )
    return worst


def _fuse_group(
    path: Path, group: Group, scale: float, places: Sequence[Place], strength: float
) -> tuple[float, float]:
    """Fuse one group; its relative error, and the largest change of a value."""
    error, size = 0.0, 0.0
    bias = bias_change(group, scale)
    if bias is not None:
        size = float((strength * bias).abs().max())
        for place in places:
            _add_bias(place, strength * bias[place.rows])
    if group.parts.keys() <= {"diff_b"}:
        return error, size
    change = change_of(group, scale)
    before = torch.empty_like(change)
    for place in places:
        before[place.rows] = flat(_weight(place))
    after = merged(group, before, change, strength)
    if group.kind == "lora" and lengths_of(group) is None:
        error = _error(group, scale, strength, after - before)
        if error > TOLERANCE:
            raise _mismatch(path, group, error)
    for place in places:
        weight = _weight(place)
        weight.copy_(after[place.rows].reshape(weight.shape))
        _check_written(path, group, weight, after[place.rows])
    return error, max(size, float((after - before).abs().max()))


def _weight(place: Place) -> Tensor:
    weight: Any = place.layer.weight
    return weight  # type: ignore[no-any-return]


def _add_bias(place: Place, change: Tensor) -> None:
    bias: Any = place.layer.bias
    bias.copy_(bias.double() + change.to(bias.device))


def _error(group: Group, scale: float, strength: float, change: Tensor) -> float:
    """Relative difference between a change and what the file says, seen along one fixed direction."""
    probe = torch.randn(change.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = strength * project(group, scale, probe)
    off = float((change @ probe - wanted).norm())
    return off / float(wanted.norm()) if off else 0.0


def _check_written(path: Path, group: Group, weight: Tensor, wanted: Tensor) -> None:
    """Raise SuspectError unless a weight holds what was written into it, rounded to its precision."""
    step = torch.finfo(weight.dtype).eps
    written = flat(weight)
    allowed = step * wanted.abs() + torch.finfo(weight.dtype).tiny
    if not bool(((written - wanted).abs() <= allowed).all()):
        raise _mismatch(path, group, float(((written - wanted).abs() / allowed).max()))


def _mismatch(path: Path, group: Group, error: float) -> SuspectError:
    return SuspectError(
        f"{path}: the fused change of {group.stem} is off by {error:.2g}",
        "This is a fault of this program or of a library: please report it.",
    )
