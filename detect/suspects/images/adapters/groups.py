"""The tensors of an adapter file, one group for each layer they change; a name that is not understood is an error.

Accounting starts here, on the names in the file: whatever a group holds is applied, or refused by name. Converters of
libraries come later and may drop what they do not know.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from detect.suspects.images.weights import some
from protect.errors import SuspectError

_PARTS = (
    (r"(?P<stem>.+)\.lora_(?:down|A)(?:\.\w+)?\.weight", "down"),
    (r"(?P<stem>.+)\.lora_(?:up|B)(?:\.\w+)?\.weight", "up"),
    (r"(?P<stem>.+)\.lora_mid\.weight", "mid"),
    (r"(?P<stem>.+)\.lora_B(?:\.\w+)?\.bias", "bias"),
    (r"(?P<stem>.+?)(?:\.lora|\.lora_linear_layer)\.down\.weight", "down"),
    (r"(?P<stem>.+?)(?:\.lora|\.lora_linear_layer)\.up\.weight", "up"),
    (r"(?P<stem>.+_lora\d*)\.down\.weight", "down"),
    (r"(?P<stem>.+_lora\d*)\.up\.weight", "up"),
    (r"(?P<stem>.+)\.alpha", "alpha"),
    (r"(?P<stem>.+)\.dora_scale", "dora_scale"),
    (r"(?P<stem>.+)\.lora_magnitude_vector(?:\.\w+)?", "magnitude"),
    (r"(?P<stem>.+)\.(?:diff|w_norm)", "diff"),
    (r"(?P<stem>.+)\.(?:diff_b|b_norm)", "diff_b"),
    (r"(?P<stem>.+)\.(?P<part>hada_(?:w[12]_[ab]|t[12]))", ""),
    (r"(?P<stem>.+)\.(?P<part>lokr_(?:w[12](?:_[ab])?|t[12]))", ""),
)
"""Names of tensors and what they are; an empty part is called as in the file."""

_OTHER_KINDS = {
    "OFT": re.compile(r"\.(?:oft_blocks|oft_diag|oft_r|rescale)\b"),
    "IA3": re.compile(r"\.(?:on_input|ia3_l)\b"),
    "GLoRA": re.compile(r"\.(?:a1|a2|b1|b2|bm)\.weight$"),
    "T-LoRA": re.compile(r"\.(?:lambda_layer|q_layer|p_layer)\b"),
    "VeRA": re.compile(r"\.?vera_"),
    "embedding LoRA": re.compile(r"\.lora_embedding_[AB]\b"),
}
"""Kinds of adapters that are known and not opened, by what their tensors are called."""

NEEDED = {
    "lora": ("down", "up"),
    "loha": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
    "lokr": (),
    "full": (),
}
"""Parts without which a group of a kind is incomplete."""


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors of a file that belong to one layer."""

    stem: str
    """Name of the layer in the file."""
    parts: dict[str, Tensor]
    """Tensors by what they are: down, up, mid, bias, magnitude, dora_scale, diff, diff_b, alpha, hada_…, lokr_…."""
    names: dict[str, str] = field(repr=False)
    """Of each part the tensor's name in the file."""

    @property
    def kind(self) -> str:
        """`lora`, `loha`, `lokr`, or `full` for a change that is written out."""
        if any(part.startswith("hada_") for part in self.parts):
            return "loha"
        if any(part.startswith("lokr_") for part in self.parts):
            return "lokr"
        return "lora" if {"down", "up"} & self.parts.keys() else "full"


def is_adapter(names: list[str]) -> bool:
    """Whether most tensors of these names are an adapter's, of a kind that is known."""
    telling = [name for name in names if not name.endswith(".alpha")]
    return 2 * sum(bool(_understand(name) or _other_kind(name)) for name in telling) > len(telling)


def parse_groups(path: Path, tensors: Mapping[str, Tensor]) -> list[Group]:
    """The tensors of a file in groups.

    Args:
        path: the file, for messages.
        tensors: all of it, by name.

    Raises:
        SuspectError: for names that are not understood, incomplete groups, or values that are not finite.
    """
    found: dict[str, dict[str, str]] = {}
    for name in tensors:
        if understood := _understand(name):
            stem, part = understood
            if (twice := found.setdefault(stem, {}).setdefault(part, name)) != name:
                raise SuspectError(f"{path} holds {twice} and {name}, which say the same", "Keep one of them.")
    _refuse_unknown(path, [name for name in tensors if not _understand(name)])
    groups = [
        Group(stem, {part: tensors[name] for part, name in names.items()}, names) for stem, names in found.items()
    ]
    for group in groups:
        _check_complete(path, group)
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise SuspectError(
            f"{path}: {len(broken)} tensors hold NaN or infinite values: {some(broken)}",
            "The training broke down, or the file is damaged: ask for another one.",
        )
    return groups


def _understand(name: str) -> tuple[str, str] | None:
    """Layer and part that a tensor's name means; None if it means nothing known."""
    for pattern, part in _PARTS:
        if match := re.fullmatch(pattern, name):
            return match["stem"], part or match["part"]
    return None


def _other_kind(name: str) -> str | None:
    """The kind of adapter that a name speaks of and that is not opened."""
    return next((kind for kind, pattern in _OTHER_KINDS.items() if pattern.search(name)), None)


def _refuse_unknown(path: Path, names: list[str]) -> None:
    if not names:
        return
    kinds = Counter(kind for name in names if (kind := _other_kind(name)))
    if kinds:
        kind = kinds.most_common(1)[0][0]
        raise SuspectError(
            f"{path} is an adapter of the kind {kind}, which is not opened here: {some(names)}",
            "Merge it into its base with the tool that made it, and test the whole model.",
        )
    raise SuspectError(
        f"{path}: {len(names)} keys are not understood: {some(names)}",
        "LoRA, DoRA, LoCon, LoHa and LoKr are, under the names of Kohya, diffusers, PEFT and LyCORIS.",
    )


def _check_complete(path: Path, group: Group) -> None:
    """Refuse a group that lacks a tensor, by the name which it should have."""
    missing = [part for part in NEEDED[group.kind] if part not in group.parts]
    if group.kind == "lokr":
        missing = [half for half in ("lokr_w1", "lokr_w2") if not _has_factor(group, half)]
    if group.kind == "full" and not {"diff", "diff_b"} & group.parts.keys():
        missing = ["down", "up"]
    if ("hada_t1" in group.parts) != ("hada_t2" in group.parts):
        missing = [part for part in ("hada_t1", "hada_t2") if part not in group.parts]
    if missing:
        raise SuspectError(
            f"{path} lacks {some(_name_of(group, part) for part in missing)}",
            "The file is incomplete: download or export it again.",
        )
    if group.parts.keys() & {"lokr_t1"}:
        raise SuspectError(f"{path}: {group.names['lokr_t1']} is not understood", "Test the merged model.")
    if "alpha" in group.parts and group.parts["alpha"].numel() != 1:
        raise SuspectError(f"{path}: {group.names['alpha']} is not one number", "Export the file again.")


def _has_factor(group: Group, half: str) -> bool:
    return half in group.parts or {f"{half}_a", f"{half}_b"} <= group.parts.keys()


_OPPOSITES = (("lora_down", "lora_up"), ("lora_A", "lora_B"), (".down.", ".up."))


def _name_of(group: Group, part: str) -> str:
    """What a missing part would be called in the file, in the manner of its other half where there is one."""
    other = {"down": "up", "up": "down"}.get(part)
    if other in group.names:
        name = group.names[other]
        for one, two in _OPPOSITES:
            if one in name or two in name:
                return name.replace(one, two) if one in name else name.replace(two, one)
    return f"{group.stem}.{ {'down': 'lora_down.weight', 'up': 'lora_up.weight'}.get(part, part) }"
