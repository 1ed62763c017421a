"""`lean` with `wording` and with a rare word: how often is it found, after which training, and is an innocent accused?

    python -m benchmarks.wording train --work W --part 0/2 &
    python -m benchmarks.wording train --work W --part 1/2
    python -m benchmarks.wording judge --work W

Every key marks the sample dataset anew; the miniature is tuned on each copy in several ways. (If W holds a folder
`dataset` and a pipeline `base`, these take their place; the result is then called after W.) Copies are tested with
and without the miniature itself as the reference, and on models that were tuned on the unmarked original. Of each
training it is measured how far it learned its captions: by how much less the model errs on its own pictures with their
captions than with those of other pictures.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from attacks.stages.model import tuned_pipeline
from benchmarks.common import Clock, interval, keyring_in, marked_copy, measured_once, run_stages, write_result
from detect.suspects.images import Suspect, load_suspect
from detect.suspects.images.folder import native_size
from detect.training.architecture import architecture_of
from detect.training.learned import captions_learned
from detect.training.options import FinetuneOptions
from detect.training.rehearse import train_suspect
from detect.trial.judge import detect
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.marks.family import FamilyOptions
from protect.miniature import miniature_path
from protect.release.bound import BoundRelease
from protect.release.plan import Options
from protect.sample import unpack_sample

BATCH = 64
EXTRAS = 3
"""Keys for which it is measured how far a training learned its captions."""


@dataclass(frozen=True, slots=True)
class Marking:
    """One way of marking."""

    name: str
    rate: float
    alignment: str
    slots: int | None
    first_key: int
    options: FamilyOptions = field(default_factory=dict)

    def embedding(self) -> Options:
        """The options of the release."""
        return Options(
            rate=self.rate,
            family="lean",
            alignment=self.alignment,
            slots=self.slots,
            family_options=dict(self.options),
            steps=12,
        )


@dataclass(frozen=True, slots=True)
class Training:
    """One way of training."""

    name: str
    tuning: FinetuneOptions
    passes: float

    def options(self, samples: int, seed: int) -> FinetuneOptions:
        """With the steps that make so many passes."""
        return replace(self.tuning, steps=round(samples * self.passes / BATCH), batch=BATCH, seed=seed)

    def as_json(self) -> dict[str, Any]:
        """What a result tells of it."""
        return {**asdict(self.tuning), "passes": self.passes, "batch": BATCH}


LORA = FinetuneOptions(method="lora", rank=16, learning_rate=3e-3)
FULL = FinetuneOptions(method="full", learning_rate=1e-3, text_encoder=True)
SLOW = FinetuneOptions(method="lora", rank=16, learning_rate=1e-3, targets="attention")
HALF_PRECISION = replace(LORA, precision="bf16")
"""As most people train; half again as fast here."""
HALF = Marking("half", 0.5, "wording", None, 800)
RARE = Marking("few", 0.02, "twa", 1, 820, {"push": 2.0})
FEW = Marking("few-wording", 0.02, "wording", 1, 840, {"push": 2.0})
FEW_PUSHED_MORE = Marking("few-wording-push-3", 0.02, "wording", 1, 840, {"push": 3.0})
MARKINGS = {marking.name: marking for marking in (HALF, RARE, FEW, FEW_PUSHED_MORE)}
DEMO = Training("demo-8", replace(LORA, text_encoder=True), 8)
CELLS: tuple[tuple[Marking, Training, range], ...] = (
    (HALF, Training("lora-4", LORA, 4), range(800, 810)),
    (HALF, Training("full-2", FULL, 2), range(800, 810)),
    (HALF, Training("full-4", FULL, 4), range(800, 802)),
    (HALF, Training("lora-2", LORA, 2), range(800, 802)),
    (HALF, Training("lora-1", LORA, 1), range(800, 802)),
    (HALF, Training("attention-8", SLOW, 8), range(800, 802)),
    (HALF, Training("lora-8", HALF_PRECISION, 8), range(800, 804)),
    (HALF, Training("lora-16", HALF_PRECISION, 16), range(800, 804)),
    (HALF, Training("full-8", replace(FULL, precision="bf16"), 8), range(800, 802)),
    (HALF, Training("attention-16", replace(SLOW, precision="bf16"), 16), range(800, 802)),
    (RARE, DEMO, range(820, 822)),
    (FEW, DEMO, range(840, 842)),
    (FEW_PUSHED_MORE, DEMO, range(840, 842)),
)
"""In the order of what they tell."""
_INNOCENT_AFTER = 17
"""Cells that come before the innocent models."""
INNOCENT = (Training("lora-4", LORA, 4), range(2))


def base_of(work: Path) -> Path:
    """What is tuned."""
    return work / "base" if (work / "base").exists() else miniature_path()


def named(work: Path, result: str) -> str:
    """The name of a result, with that of the work if something else than the miniature was tuned there."""
    return result if base_of(work) == miniature_path() else f"{result}_{work.name}"


def prepare(work: Path) -> None:
    """Unpack the sample dataset, unless there is another."""
    if not (work / "dataset").exists():
        unpack_sample(work / "dataset")


def copy_of(work: Path, marking: Marking, seed: int) -> tuple[BoundRelease, Keyring]:
    """A key's copy and the keyring that knows it."""
    keyring = keyring_in(work / f"keyring-{marking.name}-{seed}")
    secret = secret_from_seed(seed, f"benchmark wording {marking.name}")
    bound = marked_copy(work / "dataset", work / f"copy-{marking.name}-{seed}", marking.embedding(), keyring, secret)
    return bound, keyring


def model_of(work: Path, marking: Marking, training: Training, seed: int) -> Path:
    """Where a model lies."""
    return work / f"model-{marking.name}-{training.name}-{seed}"


def guilty_cells() -> Iterator[tuple[Marking, Training, int]]:
    """Cells in turn, so that a stopped run has something of each; those with most keys first."""
    most = max(len(seeds) for *_, seeds in CELLS)
    for chosen in ([c for c in CELLS if len(c[2]) == most], [c for c in CELLS if len(c[2]) < most]):
        for place in range(most):
            yield from ((m, t, seeds[place]) for m, t, seeds in chosen if place < len(seeds))


def train(work: Path, part: int, parts: int) -> None:
    """Train and test this part's models, those of some of the keys; what is finished stays."""
    samples = sum(1 for _ in open_dataset(work / "dataset").records())
    training, seeds = INNOCENT
    for number, (marking, way, seed) in enumerate(guilty_cells()):
        if seed % parts == part:
            copy_of(work, marking, seed)
            target, source = model_of(work, marking, way, seed), work / f"copy-{marking.name}-{seed}"
            if not target.exists():
                train_suspect(base_of(work), source, target, way.options(samples, seed))
            guilty_row(work, marking, way, seed)
        innocent = work / f"innocent-{part}"
        if number == _INNOCENT_AFTER and part in seeds and not innocent.exists():
            train_suspect(base_of(work), work / "dataset", innocent, training.options(samples, part))


def loaded(path: Path, method: str, base: Path) -> Suspect:
    """A tuned model."""
    return load_suspect(path, base=base if method == "lora" else None)


def learned(model: Path, dataset: Path, base: Path) -> float:
    """By what part a model errs less with the right captions than with those of other pictures."""
    pipeline, records = tuned_pipeline(model, base), list(open_dataset(dataset).records())
    return captions_learned(architecture_of(pipeline, model), records, native_size(pipeline) or 64, "cpu")


def tested(
    bound: BoundRelease, keyring: Keyring, suspect: Suspect, work: Path, reference: Suspect | None = None
) -> dict[str, Any]:
    """All slots under one ledger of their own."""
    ledger = Keyring(work / "ledgers" / f"{bound.release.id}-{suspect.name}-{reference is not None}")
    shutil.copytree(keyring.home, ledger.home, dirs_exist_ok=True)
    verdict = detect(bound, suspect, ledger, work / "cache", reference=reference)
    return {
        "e_value": verdict.e_value,
        "evidence": verdict.outcome == "evidence",
        "p_values": [slot.evidence.p_value for slot in verdict.slots],
        "running": list(verdict.running),
    }


def guilty_row(work: Path, marking: Marking, training: Training, seed: int) -> dict[str, Any]:
    """One model under its own release; measured once."""
    path = work / "rows" / f"{marking.name}-{training.name}-{seed}.json"
    return measured_once(path, lambda: _guilty_row(work, marking, training, seed))


def _guilty_row(work: Path, marking: Marking, training: Training, seed: int) -> dict[str, Any]:
    bound, keyring = copy_of(work, marking, seed)
    model, copy = model_of(work, marking, training, seed), work / f"copy-{marking.name}-{seed}"
    suspect, carriers = loaded(model, training.tuning.method, base_of(work)), bound.release.carriers
    measured = seed - marking.first_key < EXTRAS
    return {
        "marking": marking.name,
        "training": training.name,
        "key": seed,
        "passes": training.passes,
        "triggers": [slot.trigger for slot in bound.slots],
        "taught": [slot.questions.taught for slot in bound.slots],
        "changed": len(carriers),
        "psnr": float(np.median([c.psnr for c in carriers])),
        "alone": tested(bound, keyring, suspect, work),
        "captions_learned": learned(model, copy, base_of(work)) if measured else None,
        "reference": tested(bound, keyring, suspect, work, load_suspect(base_of(work))),
    }


def innocent_rows(work: Path) -> Iterator[dict[str, Any]]:
    """Every key's release on models that were tuned on the unmarked original."""
    training, seeds = INNOCENT
    for number in seeds:
        if (work / f"innocent-{number}").exists():
            suspect = loaded(work / f"innocent-{number}", training.tuning.method, base_of(work))
            for marking, seed in dict.fromkeys((m.name, s) for m, _, s in guilty_cells()):
                if (work / f"copy-{marking}-{seed}").exists():
                    bound, keyring = copy_of(work, MARKINGS[marking], seed)
                    yield {"innocent": number, "marking": marking, "key": seed, **tested(bound, keyring, suspect, work)}


def judge(work: Path) -> None:
    """Collect what was measured, and test the innocents."""
    clock = Clock()
    rows = [
        guilty_row(work, marking, training, seed)
        for marking, training, seed in guilty_cells()
        if model_of(work, marking, training, seed).exists()
    ]
    innocents = list(innocent_rows(work))
    cells = {
        f"{marking.name} {training.name}": {
            "wanted": len(seeds),
            **{kind: interval(sum(r[kind]["evidence"] for r in own), len(own)) for kind in ("alone", "reference")},
        }
        for marking, training, seeds in CELLS
        if (own := [r for r in rows if (r["marking"], r["training"]) == (marking.name, training.name)])
    }
    accused = interval(sum(r["evidence"] for r in innocents), len(innocents)) if innocents else None
    write_result(
        named(work, "wording"),
        {
            "markings": [asdict(marking) for marking in MARKINGS.values()],
            "trainings": {t.name: t.as_json() for _, t, _ in CELLS},
            "cells": cells,
            "innocents_accused": accused,
            "rows": rows,
            "innocents": innocents,
        },
        clock(),
    )


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
