"""Adapters: small files that change a base model, applied whole or refused by name.

A half-applied adapter would be a false acquittal, so nothing is left to what libraries warn about: groups of tensors
are counted by their names in the file (`groups`), their strengths read (`scales`), their layers found (`places`), and
the changes melted into the base's weights and checked there (`fuse`). Sampling then costs what the base costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect.suspects.images.adapters.changes import check_lengths, check_shapes, is_idle
from detect.suspects.images.adapters.fuse import fuse
from detect.suspects.images.adapters.groups import Group, is_adapter, parse_groups
from detect.suspects.images.adapters.places import find_places
from detect.suspects.images.adapters.scales import scales_of
from detect.suspects.images.weights import read_metadata, read_names, read_tensors, refuse_pickle, some
from protect.errors import SuspectError

__all__ = ["Adapter", "apply_adapter", "read_adapter"]


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter file, read and understood."""

    path: Path
    groups: list[Group]
    scales: dict[str, float]
    """Alpha over rank of each group, by stem."""


def read_adapter(path: Path, allow_pickle: bool = False) -> Adapter:
    """Every tensor of an adapter file.

    Raises:
        SuspectError: for a pickle, a damaged file, or tensors that are incomplete or not understood.
    """
    refuse_pickle(path, allow_pickle)
    names = read_names(path)
    if not is_adapter(names):
        raise SuspectError(f"{path} holds no adapter: {len(names)} tensors ({some(names) or 'none'})", "Give a LoRA.")
    groups = parse_groups(path, read_tensors(path, names))
    check_shapes(path, groups)
    check_lengths(path, groups)
    return Adapter(path, groups, scales_of(path, groups, read_metadata(path)))


def apply_adapter(pipeline: Any, adapter: Adapter, strength: float = 1.0) -> float:
    """Melt an adapter into the weights of a pipeline on the CPU.

    Args:
        pipeline: a diffusers pipeline; changed in place.
        adapter: what is put onto it.
        strength: factor on the whole change; 1 is the adapter as trained.

    Returns:
        The largest relative error of a fused change that was found (below 1e-6).

    Raises:
        SuspectError: if any tensor has no place in the pipeline, or a fused change is not what the file says.
    """
    groups = [group for group in adapter.groups if not is_idle(group)]
    places = find_places(adapter.path, pipeline, groups)
    return fuse(adapter.path, groups, adapter.scales, places, strength)
