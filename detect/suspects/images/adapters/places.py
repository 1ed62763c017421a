"""Where the layers of an adapter file are in a pipeline.

Trainers name layers in a dozen ways, and some pack several layers into one. diffusers knows how to rename and split;
but it drops names without saying so. So it is given counted probes in place of the weights: every row of every
group is a number of its own. What comes back says exactly which row went where, and which did not arrive. Layers
which diffusers does not convert (other text encoders, norms) are looked up by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detect.suspects.images.adapters.changes import shape_of
from detect.suspects.images.adapters.groups import Group
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import first_line, some
from protect.errors import SuspectError

_STYLES = (None, ("lora_down", "lora_up"), ("lora_A", "lora_B"))
"""Names of a pair's halves under which diffusers is asked: first the file's own. Trainers mix names of layers and of
halves, and diffusers knows some layers under one of these only."""
_SPAN = 2**32
"""Probes count groups in steps of this, and rows in ones; exact in float64."""
_LORA_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<half>[AB])(?:\.\w+)?\.weight")
_LAYERS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.Conv1d, torch.nn.Conv3d)


@dataclass(frozen=True, slots=True)
class Place:
    """A layer of the pipeline, and the rows of a group that change it."""

    layer: torch.nn.Module
    name: str
    """Component and layer, with dots."""
    rows: Tensor
    """Of each of the layer's rows, the row of the group; int64."""


def find_places(path: Path, pipeline: Any, groups: Sequence[Group]) -> dict[str, list[Place]]:
    """The layers of every group, by stem.

    Args:
        path: the adapter file, for messages.
        pipeline: a diffusers pipeline; only the names and shapes of its layers are looked at.
        groups: all groups of the file.

    Raises:
        SuspectError: naming the groups that have no place, or do not fit the layer of their name.
    """
    tables = _tables(pipeline)
    found: dict[str, list[Place]] = {}
    trouble = ""
    with silenced_libraries():
        for style in _STYLES:
            if len(found) < len(groups):
                converted, trouble = _convert(pipeline, groups, style)
                found |= {k: v for k, v in _read_probes(converted, groups, tables).items() if k not in found}
    for group in groups:
        if group.stem not in found and (place := _look_up(group, tables)):
            found[group.stem] = [place]
    _refuse_homeless(path, groups, found, trouble)
    _refuse_misfits(path, groups, found)
    return found


class _Table:
    """The layers of one component by name, with dots and with underscores."""

    def __init__(self, component: str, module: torch.nn.Module) -> None:
        self.component = component
        self.layers = {name: layer for name, layer in module.named_modules() if name and _has_weight(layer)}
        self._names: dict[str, str | None] = {}
        for name in self.layers:
            for alias in {name, name.replace(".", "_"), *_with_text_model(name)}:
                self._names[alias] = None if alias in self._names else name  # never a guess between two

    def find(self, name: str) -> str | None:
        """The layer's own name; None if there is no such layer."""
        return self._names.get(name)


def _has_weight(layer: torch.nn.Module) -> bool:
    return isinstance(getattr(layer, "weight", None), torch.nn.Parameter)


def _with_text_model(name: str) -> tuple[str, str]:
    """How older releases of transformers called the layers of a CLIP text encoder."""
    dotted = f"text_model.{name}"
    return dotted, dotted.replace(".", "_")


def _tables(pipeline: Any) -> list[_Table]:
    """Layers of the denoiser first, then of the text encoders and the rest."""
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    order = sorted(parts, key=lambda name: (name not in ("unet", "transformer"), "text_encoder" not in name, name))
    return [_Table(name, parts[name]) for name in order]


def _convert(pipeline: Any, groups: Sequence[Group], style: tuple[str, str] | None) -> tuple[dict[str, Tensor], str]:
    """Probes of all groups under the names that diffusers gives them, and why there are none."""
    if not hasattr(pipeline, "lora_state_dict"):
        return {}, f"{type(pipeline).__name__} takes no LoRA"
    more = {"unet_config": pipeline.unet.config} if getattr(pipeline, "unet", None) is not None else {}
    probes: dict[str, Tensor] = {}
    for number, group in enumerate(groups):
        probes |= _probe(number, group, style)
    try:
        converted: Any = pipeline.lora_state_dict(probes, **more)
    except Exception as error:  # whatever a converter raises means that it does not know these names
        return {}, first_line(error)
    return dict(converted[0] if isinstance(converted, tuple) else converted), ""


def _probe(number: int, group: Group, style: tuple[str, str] | None) -> dict[str, Tensor]:
    """A pair of rank 1 under a group's name: its rows say where they are from, its columns count from 1."""
    rows, columns = shape_of(group)
    if style is None and group.kind != "lora":
        return {}
    names = group.names
    if style is not None:
        names = {"down": f"{group.stem}.{style[0]}.weight", "up": f"{group.stem}.{style[1]}.weight"}
    if group.kind == "lora":
        up, down = group.parts["up"], group.parts["down"]
        kernel = down.shape[2:] if "mid" not in group.parts else group.parts["mid"].shape[2:]
        up_shape, down_shape = (rows, 1, *(1,) * (up.ndim - 2)), (1, down.shape[1], *kernel)
    else:
        up_shape, down_shape = (rows, 1), (1, columns or 1)
    count = torch.arange(1, 1 + (columns or 1), dtype=torch.float64).reshape(down_shape)
    origin = torch.arange(rows, dtype=torch.float64).reshape(up_shape) + (number + 1) * _SPAN
    probe = {names["down"]: count, names["up"]: origin}
    if "alpha" in group.parts:
        probe[group.names["alpha"]] = torch.tensor(1.0, dtype=torch.float64)  # of rank 1, so nothing is scaled
    return probe


def _read_probes(
    converted: Mapping[str, Tensor], groups: Sequence[Group], tables: Sequence[_Table]
) -> dict[str, list[Place]]:
    """Places of the groups whose rows all arrived, each once and in a layer that exists."""
    places: dict[str, list[Place]] = {}
    for component, name, down, up in _pairs(converted, tables):
        origin = up.double().flatten().round().long()
        numbers = set((origin // _SPAN - 1).tolist())
        counted = torch.arange(1, 1 + down.numel(), dtype=torch.float64)
        if len(numbers) != 1 or not torch.equal(down.double().flatten(), counted):
            continue  # joined from several groups, or its columns are not those of the file
        number = numbers.pop()
        if 0 <= number < len(groups) and (layer := _layer(component, name, tables)):
            group = groups[number]
            places.setdefault(group.stem, []).append(Place(*layer, origin % _SPAN))
    complete = {}
    for group in groups:
        if own := places.get(group.stem):
            rows = torch.cat([place.rows for place in own]).sort().values
            if torch.equal(rows, torch.arange(shape_of(group)[0])):
                complete[group.stem] = own
    return complete


def _pairs(converted: Mapping[str, Tensor], tables: Sequence[_Table]) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    """Component ("" if none is named), layer, and both halves of every pair among converted probes."""
    halves: dict[tuple[str, str], dict[str, Tensor]] = {}
    for key, tensor in converted.items():
        head, _, rest = key.partition(".")
        component = next((table.component for table in tables if table.component == head), "")
        name = _peft_name(rest if component else key, component)
        if match := _LORA_NAME.fullmatch(name):
            halves.setdefault((component, match["module"]), {})[match["half"]] = tensor
    for (component, module), pair in halves.items():
        if pair.keys() == {"A", "B"}:
            yield component, module, pair["A"], pair["B"]


def _peft_name(name: str, component: str) -> str:
    """A tensor's name as PEFT has it, from one of the three that diffusers has had."""
    from diffusers.utils import state_dict_utils

    names: Any = state_dict_utils  # untyped
    if "lora_A" not in name and "lora_B" not in name and component.startswith("text_encoder"):
        for kind in (names.StateDictType.DIFFUSERS_OLD, names.StateDictType.DIFFUSERS):
            (name,) = names.convert_state_dict_to_peft({name: None}, original_type=kind)
    if "lora_A" not in name and "lora_B" not in name:
        (name,) = names.convert_unet_state_dict_to_peft({name: None})
    return name


def _layer(component: str, name: str, tables: Sequence[_Table]) -> tuple[torch.nn.Module, str] | None:
    """A layer by component and name; without a component, of the first that has it (the denoiser comes first)."""
    for table in tables:
        if component in ("", table.component) and (own := table.find(name)):
            return table.layers[own], f"{table.component}.{own}"
    return None


_PREFIXES = (
    (r"base_model\.model\.", ""),
    (r"lora_unet_|lora_transformer_|lycoris_|(?:model\.)?diffusion_model\.", "denoiser"),
    (r"lora_te1?_|text_encoders\.clip_l\.transformer\.", "text_encoder"),
    (r"lora_te(?P<number>\d)_", "text_encoder"),
    (r"text_encoders\.\w+\.transformer\.", "text_encoder"),
)
"""What trainers put before a layer's name, and which components it may mean."""


def _look_up(group: Group, tables: Sequence[_Table]) -> Place | None:
    """The one layer of a group's name in the component that the name speaks of."""
    for component, name in _readings(group.stem, tables):
        holders = [table for table in tables if _means(component, table.component) and table.find(name)]
        exact = [table for table in holders if table.component == component] or holders
        if len(exact) == 1:
            own = exact[0].find(name)
            assert own is not None, "it was found above"
            layer = exact[0].layers[own]
            return Place(layer, f"{exact[0].component}.{own}", torch.arange(shape_of(group)[0]))
    return None


def _readings(stem: str, tables: Sequence[_Table]) -> Iterator[tuple[str, str]]:
    """Component and layer that a stem may mean, the likeliest first."""
    plain = re.sub(r"\.processor(?=\.)|_lora$", "", stem)
    head, _, rest = plain.partition(".")
    if any(table.component == head for table in tables):
        yield head, rest
    for pattern, component in _PREFIXES:
        if match := re.match(pattern, plain):
            number = match.groupdict().get("number")
            yield (f"{component}_{number}" if number else component), plain[match.end() :]
    yield "", plain


def _means(component: str, table: str) -> bool:
    """Whether a table may be meant. Text encoders are numbered differently by trainers, so any that has the layer."""
    if component.startswith("text_encoder"):
        return table.startswith("text_encoder")
    if component == "denoiser":
        return table in ("unet", "transformer", "prior")
    return component in ("", table)


def _refuse_homeless(path: Path, groups: Sequence[Group], found: Mapping[str, list[Place]], trouble: str) -> None:
    lost = [name for group in groups if group.stem not in found for name in group.names.values()]
    if lost:
        total = sum(len(group.names) for group in groups)
        reason = f" ({trouble})" if trouble and len(lost) == total else ""
        raise SuspectError(
            f"{path}: {len(lost)} of {total} tensors have no place in the base: {some(lost)}{reason}",
            "Give --base the model it was trained on.",
        )
    layers: dict[int, str] = {}
    for stem, places in found.items():
        for place in places:
            weight: Any = place.layer.weight
            other = layers.setdefault(weight.data_ptr() or id(weight), stem)  # no storage on the meta device
            if other != stem:
                raise SuspectError(
                    f"{path}: {other} and {stem} both change {place.name}", "Export the adapter again, each layer once."
                )


def _refuse_misfits(path: Path, groups: Sequence[Group], found: Mapping[str, list[Place]]) -> None:
    """Refuse groups of another shape than their layers, or that change a bias where there is none."""
    for group in groups:
        _, columns = shape_of(group)
        for place in found[group.stem]:
            weight: Any = place.layer.weight
            width = weight[0].numel() if weight.ndim > 1 else 1
            if len(weight) != len(place.rows) or columns not in (None, width):
                raise SuspectError(
                    f"{path} was trained on another base ({group.stem} has the shape {(len(place.rows), columns)}, "
                    f"{place.name} {(len(weight), width)})",
                    "Give --base the model it was trained on.",
                )
            if not isinstance(place.layer, _LAYERS) and group.kind != "full":
                raise SuspectError(
                    f"{path}: {group.stem} changes {place.name}, a {type(place.layer).__name__}, which is not opened",
                    "Merge it into its base with the tool that made it, and test the whole model.",
                )
            changes_bias = {"bias", "diff_b"} & group.parts.keys()
            if changes_bias and getattr(place.layer, "bias", None) is None:
                name = group.names[min(changes_bias)]
                raise SuspectError(f"{path}: {name} changes a bias that {place.name} has not", "Give another --base.")
