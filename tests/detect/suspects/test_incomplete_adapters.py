"""Adapter files with one tensor dropped, scaled or renamed: refused, or opened exactly; never in part."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from detect.suspects.images.adapters import apply_adapter, read_adapter
from detect.suspects.images.folder import load_pipeline
from protect.errors import SuspectError
from tests.support.adapter_files import Family, Tensors, families, flux_families
from tests.support.flow import build_flux
from tests.support.models import build

SEEDS = 700
"""Cases of the slow test."""


class Bench:
    """A tiny pipeline, the weights of its layers, and the families of adapters for it."""

    def __init__(self, pipeline: Any, families_of: Callable[[Tensors], list[Family]]) -> None:
        self._pipeline = pipeline
        parts = {n: part for n, part in pipeline.components.items() if isinstance(part, torch.nn.Module) and n != "vae"}
        self._layers = {
            f"{component}.{name}": layer
            for component, part in parts.items()
            for name, layer in part.named_modules()
            if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
        }
        self._all = {f"{c}.{n}": p for c, part in parts.items() for n, p in part.named_parameters()}
        self.weights = {name: layer.weight.detach().clone() for name, layer in self._layers.items()}
        self.families = families_of(self.weights)

    def changed(self, path: Path) -> Tensors:
        """All parameters that a file changes, after it; the pipeline is put back."""
        before = {name: parameter.detach().clone() for name, parameter in self._all.items()}
        try:
            apply_adapter(self._pipeline, read_adapter(path))
            return {n: p.detach().clone() for n, p in self._all.items() if not torch.equal(p, before[n])}
        finally:
            for name, parameter in self._all.items():
                parameter.data.copy_(before[name])


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> list[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    return [
        Bench(load_pipeline(build(folder / "sd")), families),
        Bench(load_pipeline(build_flux(folder / "flux")), flux_families),
    ]


def drop(family: Family, tensors: Tensors, chance: random.Random) -> Tensors:
    """One tensor less."""
    lost = chance.choice(sorted(tensors))
    return {name: tensor for name, tensor in tensors.items() if name != lost}


def scale(family: Family, tensors: Tensors, chance: random.Random) -> Tensors:
    """One tensor, or all of a layer, times a number."""
    name, factor = chance.choice(sorted(tensors)), chance.choice([-1.0, 0.01, 0.5, 3.0, 40.0])
    stem = next(stem for stem in family.chosen if name.startswith(f"{stem}."))
    whole = chance.random() < 0.5
    return {n: t * factor if n == name or (whole and n.startswith(f"{stem}.")) else t for n, t in tensors.items()}


def rename(family: Family, tensors: Tensors, chance: random.Random) -> Tensors:
    """A layer called as another one, as none, or one tensor with another ending."""
    stem = chance.choice(family.chosen)
    kind = chance.randrange(4)
    if kind == 0:
        other = chance.choice(sorted(family.stems))
    elif kind == 1:
        other = f"{stem}_not"
    elif kind == 2:
        other = chance.choice([stem.replace("attn", "atn"), f"x{stem}", stem[:-1]])
    else:
        name = chance.choice(sorted(tensors))
        return {f"{n}x" if n == name else n: t for n, t in tensors.items()}
    return {n.replace(f"{stem}.", f"{other}.", 1) if n.startswith(f"{stem}.") else n: t for n, t in tensors.items()}


CHANGES = (drop, scale, rename)


def check(bench: Bench, family: Family, seed: int, folder: Path) -> str:
    """One case; what became of it."""
    chance = random.Random(seed)
    change = CHANGES[seed % len(CHANGES)]
    tensors = change(family, copy.copy(family.file(bench.weights)), chance)
    expected = family.expected(tensors, bench.weights)
    path = family.write(folder, tensors)
    try:
        found = bench.changed(path)
    except SuspectError as error:
        assert len(str(error).splitlines()) == 2
        assert expected is None, (family.name, seed, str(error))
        return "refused"
    assert expected is not None, (family.name, seed, "opened what is not whole")
    _assert_exact(found, expected, bench.weights, (family.name, seed))
    return "exact"


def _assert_exact(found: Tensors, expected: Tensors, weights: Tensors, case: object) -> None:
    moved = {layer: after for layer, after in expected.items() if not _same(after, weights[layer])}
    assert found.keys() <= {f"{layer}.weight" for layer in expected}, case
    assert {f"{layer}.weight" for layer in moved} <= found.keys(), case
    for layer, after in expected.items():
        got = found.get(f"{layer}.weight", weights[layer])
        off = (got.double() - after).abs().max() / after.abs().max()
        assert off < 1e-6, (case, layer, float(off))


def _same(after: Tensor, before: Tensor) -> bool:
    return torch.equal(after.to(before.dtype), before)


def cases(benches: list[Bench]) -> list[tuple[Bench, Family]]:
    return [(bench, family) for bench in benches for family in bench.families]


def test_whole_files_are_opened_exactly(benches: list[Bench], tmp_path: Path) -> None:
    for bench, family in cases(benches):
        tensors = family.file(bench.weights)
        expected = family.expected(tensors, bench.weights)
        assert expected is not None and len(expected) >= 3
        (folder := tmp_path / family.name).mkdir()
        _assert_exact(bench.changed(family.write(folder, tensors)), expected, bench.weights, family.name)


def test_some_broken_files(benches: list[Bench], tmp_path: Path) -> None:
    """Three of each family, one of each kind."""
    outcomes = []
    for number, (bench, family) in enumerate(cases(benches)):
        for kind in range(len(CHANGES)):
            (folder := tmp_path / f"{number}-{kind}").mkdir()
            outcomes.append(check(bench, family, len(CHANGES) * (7 + number) + kind, folder))
    assert len(outcomes) >= 39 and min(outcomes.count(kind) for kind in ("refused", "exact")) >= 10


@pytest.mark.slow
def test_many_broken_files(benches: list[Bench], tmp_path: Path) -> None:
    outcomes = []
    for seed in range(SEEDS):
        bench, family = cases(benches)[seed % len(cases(benches))]
        (folder := tmp_path / str(seed)).mkdir()
        outcomes.append(check(bench, family, 1000 + seed, folder))
        for file in folder.iterdir():
            file.unlink()
    assert len(outcomes) == SEEDS and min(outcomes.count(kind) for kind in ("refused", "exact")) >= 100
