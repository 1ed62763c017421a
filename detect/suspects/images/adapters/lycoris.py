"""LoHa and LoKr, by LyCORIS' own functions: two low-rank products multiplied entry by entry, or as a Kronecker product.

The functions are used, not the module classes: `LohaModule.get_diff_weight` of LyCORIS 4.1.3 counts alpha over rank
twice, other than its own forward pass.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from detect.suspects.images.adapters.groups import Group
from protect.errors import SuspectError


def shape_of_product(group: Group) -> tuple[int, int]:
    """Rows and columns of the weight that a LoHa or LoKr group changes.

    Raises:
        ValueError: if its tensors do not fit together.
    """
    parts = group.parts
    if group.kind == "loha":
        if "hada_t1" in parts:
            return parts["hada_w1_a"].shape[1], parts["hada_w1_b"].shape[1] * parts["hada_t1"][0, 0].numel()
        if any(parts[f"hada_w{i}_a"].shape[1] != parts[f"hada_w{i}_b"].shape[0] for i in (1, 2)):
            raise ValueError("ranks differ")
        return parts["hada_w1_a"].shape[0], parts["hada_w1_b"][0].numel()
    first, second = _factor_shape(parts, "lokr_w1"), _factor_shape(parts, "lokr_w2")
    return first[0] * second[0], first[1] * second[1]


def _factor_shape(parts: dict[str, Tensor], half: str) -> tuple[int, int]:
    if half in parts:
        return len(parts[half]), parts[half][0].numel()
    left, right = parts[f"{half}_a"], parts[f"{half}_b"]
    if half == "lokr_w2" and "lokr_t2" in parts:
        return left.shape[1], right.shape[1] * parts["lokr_t2"][0, 0].numel()
    if left.shape[1] != right.shape[0]:
        raise ValueError("ranks differ")
    return left.shape[0], right[0].numel()


def product_of(group: Group, scale: float) -> Tensor:
    """The change of a weight, float64 (rows, columns).

    Raises:
        SuspectError: if LyCORIS is not installed.
    """
    parts = {name: tensor.double() for name, tensor in group.parts.items()}
    names: tuple[str, ...]
    if group.kind == "loha":
        names = ("hada_w1_b", "hada_w1_a", "hada_w2_b", "hada_w2_a", "hada_t1", "hada_t2")
        change = _functions("loha").diff_weight(*(parts.get(name) for name in names), gamma=scale, backend="torch")
    else:
        names = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")
        change = _functions("lokr").kron_weight(*(parts.get(name) for name in names), scale=scale, backend="torch")
    rows, columns = shape_of_product(group)
    return change.reshape(rows, columns)  # type: ignore[no-any-return]


def _functions(kind: str) -> Any:
    """LyCORIS' functions of a kind."""
    from importlib import import_module

    from detect.suspects.images.silence import silenced_libraries

    try:
        with silenced_libraries():
            return import_module(f"lycoris.functional.{kind}")
    except ImportError as error:
        raise SuspectError(
            f"the adapter is a {kind.replace('lo', 'Lo')}, which LyCORIS opens, and LyCORIS is not installed",
            "Install it: pip install 'tracemark[lycoris]'",
        ) from error
