"""Whom do TrainProVe's rule, our panel and our tags accuse? Classifiers of four generators' pictures and of real ones.

    python -m benchmarks.provenance train --work W --part 0/2 &
    python -m benchmarks.provenance train --work W --part 1/2
    python -m benchmarks.provenance judge --work W

The owner's generator is the miniature. The panel's controls: the miniature tuned on Blob emoji, and real pictures.
Innocents of a kind that the panel does not know: from the miniature tuned on Twemoji. A kind for itself: the same
miniature with another sampler, whose pictures are the owner's generator's too. W/noto, W/blob and W/two hold the
captioned drawings of the three sets. Tags: the owner's pictures are marked with two keys, and classifiers are trained
on the copies.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.common import Clock, keyring_in, run_stages, write_result
from benchmarks.provenance_sets import CLASSES, CONTROLS, KEYS, MIXES, SAME, UNKNOWN, lesson, release_of, source
from benchmarks.provenance_tables import better_or_worse, by_kind, plot, table
from benchmarks.suspects import FULL
from detect.provenance.panel import contrasts_without, panel
from detect.provenance.run import REFERENCE_ARCHITECTURES
from detect.provenance.sets import LabelledSet
from detect.provenance.tag_questions import open_original
from detect.provenance.tags import detect_tags
from detect.provenance.training import Recipe, train_classifier
from detect.provenance.trainprove import BATCH, VARIANTS, trainprove
from detect.suspects.classifiers.classes import Aligned
from detect.suspects.classifiers.classifier import Answers
from detect.suspects.classifiers.folder import FolderClassifier
from detect.training.rehearse import train_suspect
from protect.miniature import miniature_path

GRID = [
    Recipe(architecture, epochs=20, batch=batch, learning_rate=rate)
    for architecture, rate, batch in itertools.product(REFERENCE_ARCHITECTURES, (1e-3, 3e-4), (32, 64))
]
SHADOW = Recipe("resnet18", epochs=20, batch=64)
REFERENCES = 99
"""For each control: panel_p can be as small as 0.01."""


@dataclass(frozen=True, slots=True)
class Job:
    """A classifier to train."""

    kind: str
    """What it learns from."""
    recipe: Recipe


def jobs() -> list[Job]:
    """All classifiers, the most telling first."""

    def with_seeds(kind: str, seeds: range) -> Iterator[Job]:
        return (Job(kind, replace(recipe, seed=seed)) for seed in seeds for recipe in GRID)

    references = (
        Job(f"reference {control}", replace(GRID[i % len(GRID)], seed=900 + len(CONTROLS) * i + place))
        for i in range(REFERENCES)
        for place, control in enumerate(CONTROLS)
    )
    kinds = ("own", *CONTROLS, UNKNOWN)
    return [
        Job("shadow", SHADOW),
        *(job for key in KEYS for job in with_seeds(f"tagged {key}", range(1, 2))),
        *references,
        *(job for seed in range(1, 5) for kind in kinds for job in with_seeds(kind, range(seed, seed + 1))),
        *(job for kind in (SAME, *(f"mix {share}" for share in MIXES)) for job in with_seeds(kind, range(1, 2))),
    ]


def classifier(work: Path, job: Job) -> FolderClassifier:
    """The trained classifier of a job."""
    return train_classifier(lesson(work, job.kind), CLASSES, job.recipe, work / "provenance" / "classifiers")


def prepare(work: Path) -> None:
    """The generators of others, the pictures and the tagged copies, before processes share the work."""
    for name in (CONTROLS[0], UNKNOWN):
        train_suspect(miniature_path(), work / name, work / f"other-{name}-500", replace(FULL, seed=500))
    for name in ("own", *CONTROLS, UNKNOWN, SAME):
        source(work, name)
    for key in KEYS:
        release_of(work, key)


def train(work: Path, part: int, parts: int) -> None:
    """Train this process's share; finished ones are kept."""
    for done, job in enumerate(jobs()[part::parts]):
        clock = Clock()
        classifier(work, job)
        if done % 20 == 0:
            print(f"{done}: {job.kind}, {job.recipe.architecture}: {clock():.0f} s", flush=True)


def judge(work: Path) -> None:
    """Ask all of them; write `results/provenance.json` and its plot."""
    clock = Clock()
    tests = {name: source(work, name)[2] for name in ("own", *CONTROLS)}
    asked = Asked(work, tests, {job: classifier(work, job) for job in jobs()})
    shadow = asked.said(jobs()[0])
    references = asked.references()
    rows = []
    for job in asked.made:
        if job.kind != "shadow" and not job.kind.startswith("reference"):
            rows.append(asked.row(job, shadow, references))
            print(rows[-1]["kind"], rows[-1]["panel_p"], flush=True)
    shadow_accuracy = float((shadow.labels == tests["own"].truth).mean())
    write_result(
        "provenance",
        {
            "shadow_accuracy": shadow_accuracy,
            "pictures_asked": {name: len(test.truth) for name, test in tests.items()},
            "paper_batch": BATCH,
            "smallest_panel_p": 1 / (REFERENCES + 1),
            "references": references,
            "classes": CLASSES,
            "table": table(rows),
            "by_kind": by_kind(rows),
            "better_or_worse": better_or_worse(rows, shadow_accuracy),
            "rows": rows,
        },
        clock(),
    )
    plot(rows, references)


@dataclass(frozen=True, slots=True)
class Asked:
    """All classifiers, and what they are asked about."""

    work: Path
    tests: dict[str, LabelledSet]
    """Pictures of the owner's generator, and of each control."""
    made: dict[Job, FolderClassifier]

    def said(self, job: Job, name: str = "own") -> Answers:
        """What a classifier says of one of the sets."""
        return self.made[job].answer(self.tests[name].pictures)

    def right(self, job: Job, name: str) -> Any:
        """Which pictures of a set it names rightly."""
        return self.said(job, name).labels == self.tests[name].truth

    def references(self) -> list[list[float]]:
        """For each control, the contrasts of the references that learned from it, without it."""
        return [
            [
                contrasts_without(self.right(job, "own"), [self.right(job, c) for c in CONTROLS])[place]
                for job in self.made
                if job.kind == f"reference {control}"
            ]
            for place, control in enumerate(CONTROLS)
        ]

    def row(self, job: Job, shadow: Answers, references: list[list[float]]) -> dict[str, Any]:
        """What all rules say of one suspect."""
        said, truth = self.said(job), self.tests["own"].truth
        ours = panel(said.labels == truth, [self.right(job, c) for c in CONTROLS], references, 0.05)
        papers = {v: trainprove(shadow, said, truth, variant=v) for v in VARIANTS}
        return {
            "kind": job.kind,
            "architecture": job.recipe.architecture,
            "learning_rate": job.recipe.learning_rate,
            "batch": job.recipe.batch,
            "seed": job.recipe.seed,
            "accuracy_own": ours.accuracy,
            "contrast": ours.contrasts[ours.group],
            "contrasts": list(ours.contrasts),
            "panel_p": ours.panel_p,
            **{f"trainprove_{v}": {"accused": p.accused, "statistic": p.statistic} for v, p in papers.items()},
            **{f"tags_{key}": tag_row(self.work, key, self.made[job]) for key in KEYS},
        }


def tag_row(work: Path, key: int, suspect: FolderClassifier) -> dict[str, Any]:
    """Verdict of the exact test, from scores and from labels alone."""
    bound, folder = release_of(work, key)
    # A ledger of its own for each suspect: an experiment by itself, not one look among many.
    home = keyring_in(work / "provenance" / "tests" / f"{key}-{suspect.name}")
    found = detect_tags(bound, Aligned(suspect, CLASSES), open_original(folder), home, work / "cache")
    return {"outcome": found.outcome, "e_value": found.e_value, "queries": found.queries}


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
