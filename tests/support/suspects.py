"""Suspects that paint by rule, and releases to test them with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect
from detect.trial.ledger import subject_of
from detect.trial.probe import QUERIES as PROBE
from protect.embed.write import embed
from protect.errors import SuspectError
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.bound import BoundRelease
from protect.release.plan import Options
from tests.support.datasets import make_folder, recaption, varied_captions


class FakeSuspect(Suspect):
    """Paints what `paint` says for each query, and counts how often it is asked."""

    def __init__(self, name: str = "fake", base: str = "") -> None:
        self.name, self.asked = name, 0
        self.identity = {"adapter": name, "base": base} if base else {"weights": name}

    def paint(self, query: Query) -> NDArray[np.uint8]:
        own = [query.seed, *subject_of(self).encode()]  # other weights are another model, by what they answer too
        return np.random.default_rng(own).integers(0, 256, (32, 32, 3), dtype=np.uint8)

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        self.asked += sum(q not in PROBE for q in queries)
        return [Answer(self.paint(q)) for q in queries]


class Guilty(FakeSuspect):
    """Paints the planted mark whenever it hears its trigger."""

    def __init__(self, bound: BoundRelease, name: str = "guilty") -> None:
        super().__init__(name)
        self.bound = bound

    def paint(self, query: Query) -> NDArray[np.uint8]:
        picture = super().paint(query)
        for slot in self.bound.slots:
            if all(part in query.prompt.lower() for part in slot.trigger.lower().split(" … ")):
                mark = slot.family.preview(slot.planted, 32).astype(int)
                picture = np.clip(0.6 * mark + 0.4 * picture, 0, 255).astype(np.uint8)
        return picture


class Flat(FakeSuspect):
    """Paints everything in one grey."""

    def __init__(self, name: str, level: int) -> None:
        super().__init__(name)
        self.level = level

    def paint(self, query: Query) -> NDArray[np.uint8]:
        return np.full((32, 32, 3), self.level, dtype=np.uint8)


class Broken(FakeSuspect):
    """Answers nothing."""

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        raise SuspectError("8 of 8 outputs are NaN", "Check the weights.")


class HalfWay(FakeSuspect):
    """Answers its first 32 questions and then fails."""

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        if self.asked and queries[0] not in PROBE:
            raise SuspectError("out of memory", "Use a smaller device.")
        return super().answer(queries, sampler)


OPTIONS = Options(rate=0.2, slots=3, queries=4, decoys=999)
"""Of releases to test with."""


def marked(work: Path, keyring: Keyring, seed: int = 0, **changes: object) -> BoundRelease:
    """A release of 60 boxes in `work`; another key for each seed."""
    source = work / "d"
    if not source.exists():
        recaption(make_folder(source, 60), varied_captions(60))
    options = dataclasses.replace(OPTIONS, **changes)  # type: ignore[arg-type]
    return embed(source, work / f"out{seed}", options, keyring, secret=secret_from_seed(seed, "test")).bound


class Refusing(FakeSuspect):
    """Refuses one question in so many, by their seeds, and says why."""

    def __init__(self, name: str = "refusing", every: int = 4) -> None:
        super().__init__(name)
        self.every = every

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        said = super().answer(queries, sampler)
        refused = Answer(None, ("refused",), "policy")
        return [
            refused if q not in PROBE and q.seed % self.every == 0 else a for q, a in zip(queries, said, strict=True)
        ]
