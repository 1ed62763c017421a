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
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.common import RESULTS, Clock, interval, keyring_in, marked_copy, pictures_of, run_stages, write_result
from benchmarks.suspects import FULL
from detect.provenance.panel import contrasts_without, panel
from detect.provenance.run import REFERENCE_ARCHITECTURES
from detect.provenance.sets import LabelledSet, drawn
from detect.provenance.tag_questions import open_original
from detect.provenance.tags import detect_tags
from detect.provenance.training import Recipe, train_classifier
from detect.provenance.trainprove import BATCH, VARIANTS, trainprove
from detect.suspects.classifiers.classes import Aligned
from detect.suspects.classifiers.folder import FolderClassifier
from detect.suspects.images import Sampler, load_suspect
from detect.training.rehearse import train_suspect
from protect.files import write_atomic
from protect.formats import open_dataset
from protect.formats.record import Record
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.miniature import miniature_path
from protect.pixels.measure import on_white, picture_at, png_bytes
from protect.pixels.picture import read_rgba
from protect.progress import no_progress
from protect.release.bound import BoundRelease
from protect.release.plan import Options

CLASSES = ("arrow", "bicyclist", "face", "hand", "handshake", "heart", "man", "woman")
"""Sorted, as class folders are."""
PLAIN, OTHER = Sampler(steps=12, guidance=3.0), Sampler(steps=6, guidance=7.5)
HALF, TEST = 60, 160
"""Pictures per class: for references (or the shadow), as many again for suspects, and to ask about (10 batches)."""
REAL_HALF, REAL_TEST = 23, 23
"""The rarest class has 69 drawings."""
CONTROLS, UNKNOWN, SAME = ("blob", "real"), "two", "sampler"
GRID = [
    Recipe(architecture, epochs=20, batch=batch, learning_rate=rate)
    for architecture, rate, batch in itertools.product(REFERENCE_ARCHITECTURES, (1e-3, 3e-4), (32, 64))
]
SHADOW = Recipe("resnet18", epochs=20, batch=64)
REFERENCES = 99
"""For each control: panel_p can be as small as 0.01."""
MIXES = {0.25: (8, 23), 0.5: (23, 23), 0.75: (60, 20)}
"""Share of the generator's pictures: how many per class of it, and how many real ones."""
TAGS = Options(rate=0.12, alignment="label", slots=8, queries=16)
KEYS = (700, 701)


@dataclass(frozen=True, slots=True)
class Job:
    """A classifier to train."""

    kind: str
    """What it learns from."""
    recipe: Recipe


def keyring_of(work: Path) -> Keyring:
    """Holds tagged releases."""
    return keyring_in(work / "provenance")


@cache
def source(work: Path, name: str) -> tuple[LabelledSet, LabelledSet, LabelledSet]:
    """Pictures for references, for suspects, and to ask about."""
    if name == "real":
        return real(work)
    generator = load_suspect(
        {
            "own": miniature_path(),
            "sampler": miniature_path(),
            "blob": work / "other-blob-500",
            "two": work / "other-two-500",
        }[name]
    )
    sampler, place = OTHER if name == "sampler" else PLAIN, work / "cache"

    def draw(template: str, count: int, seed: int) -> LabelledSet:
        return drawn(generator, template, CLASSES, count, seed=seed, sampler=sampler, cache=place, progress=no_progress)

    both, test = draw("noto emoji of {c}", 2 * HALF, 0), draw("emoji of {c}", TEST, 2**30)
    cut = HALF * len(CLASSES)
    return both.part(0, cut), both.part(cut, 2 * cut), test


def real(work: Path) -> tuple[LabelledSet, LabelledSet, LabelledSet]:
    """Drawings of three emoji sets whose captions hold exactly one class's word; the order is drawn by a seed."""
    found: dict[str, list[Record]] = {name: [] for name in CLASSES}
    for folder in ("noto", "blob", "two"):
        for record in open_dataset(work / folder).records():
            words = set(re.findall("[a-z]+", record.caption.lower())) & set(CLASSES)
            if len(words) == 1:
                found[words.pop()].append(record)
    rng = np.random.default_rng(0)
    count = 2 * REAL_HALF + REAL_TEST
    chosen = {name: [records[i] for i in rng.permutation(len(records))[:count]] for name, records in found.items()}
    pictures = np.stack(
        [picture_at(on_white(read_rgba(chosen[name][i].read())), 64) for i in range(count) for name in CLASSES]
    )
    whole = LabelledSet("real", pictures, np.tile(np.arange(len(CLASSES)), count))
    a, b = REAL_HALF * len(CLASSES), 2 * REAL_HALF * len(CLASSES)
    return whole.part(0, a), whole.part(a, b), whole.part(b, len(whole.truth))


def joined(first: LabelledSet, second: LabelledSet) -> LabelledSet:
    """Both sets as one."""
    return LabelledSet(
        "mix", np.concatenate([first.pictures, second.pictures]), np.concatenate([first.truth, second.truth])
    )


def release_of(work: Path, key: int) -> tuple[BoundRelease, Path]:
    """The owner's pictures for suspects as class folders, tagged; and those folders."""
    folder, target = work / "provenance-own", work / f"provenance-tagged-{key}"
    if not folder.exists():
        own = source(work, "own")[1]
        for i, (picture, c) in enumerate(zip(own.pictures, own.truth, strict=True)):
            (folder / CLASSES[c]).mkdir(parents=True, exist_ok=True)
            write_atomic(folder / CLASSES[c] / f"{i:04}.png", png_bytes(picture))
    return marked_copy(folder, target, TAGS, keyring_of(work), secret_from_seed(key, "provenance")), folder


def lesson(work: Path, kind: str) -> LabelledSet:
    """What a classifier of that kind learns from."""
    count = len(CLASSES)
    if kind.startswith("reference"):
        return source(work, kind.split()[1])[0]
    if kind == "shadow":
        return source(work, "own")[0]
    if kind.startswith("mix"):
        own, others = MIXES[float(kind.split()[1])]
        return joined(source(work, "own")[1].part(0, own * count), source(work, "real")[1].part(0, others * count))
    if kind.startswith("tagged"):
        release_of(work, int(kind.split()[1]))
        folder = work / f"provenance-tagged-{kind.split()[1]}"
        records = list(open_dataset(folder).records())
        pictures = np.stack(pictures_of(folder, [record.key for record in records]))
        return LabelledSet(kind, pictures, np.array([CLASSES.index(record.caption) for record in records]))
    return source(work, kind)[1]


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
    everyone = jobs()
    made = {job: classifier(work, job) for job in everyone}

    def right(job: Job, name: str) -> Any:
        return made[job].answer(tests[name].pictures).labels == tests[name].truth

    shadow = made[everyone[0]].answer(tests["own"].pictures)
    references = [
        [
            contrasts_without(right(job, "own"), [right(job, c) for c in CONTROLS])[place]
            for job in everyone
            if job.kind == f"reference {control}"
        ]
        for place, control in enumerate(CONTROLS)
    ]
    rows: list[dict[str, Any]] = []
    for job in everyone:
        if job.kind == "shadow" or job.kind.startswith("reference"):
            continue
        said = made[job].answer(tests["own"].pictures)
        ours = panel(right(job, "own"), [right(job, c) for c in CONTROLS], references, 0.05)
        papers = {v: trainprove(shadow, said, tests["own"].truth, variant=v) for v in VARIANTS}
        rows.append(
            {
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
                **{f"tags_{key}": tag_row(work, key, made[job]) for key in KEYS},
            }
        )
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


def tag_row(work: Path, key: int, suspect: FolderClassifier) -> dict[str, Any]:
    """Verdict of the exact test, from scores and from labels alone."""
    bound, folder = release_of(work, key)
    # A ledger of its own for each suspect: an experiment by itself, not one look among many.
    home = keyring_in(work / "provenance" / "tests" / f"{key}-{suspect.name}")
    found = detect_tags(bound, Aligned(suspect, CLASSES), open_original(folder), home, work / "cache")
    return {"outcome": found.outcome, "e_value": found.e_value, "queries": found.queries}


def guilty(row: dict[str, Any]) -> bool:
    """Whether the suspect learned from the owner's generator alone."""
    kind: str = row["kind"]
    return kind == "own" or kind.startswith("tagged")


def innocent(row: dict[str, Any]) -> bool:
    """Whether the suspect learned from anything but the owner's generator."""
    return row["kind"] in (*CONTROLS, UNKNOWN)


def table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """As in the paper: accuracy, F1, AUC of each rule; ours at two levels; no mixes, no other sampler.

    Given this panel, this shadow and these keys, suspects are independent, so counts have exact intervals; these speak
    of this panel and this shadow, not of others.
    """
    plain = [r for r in rows if guilty(r) or innocent(r)]
    truth = np.array([guilty(r) for r in plain])
    found = {
        **{
            f"trainprove {v}": (
                np.array([r[f"trainprove_{v}"]["accused"] for r in plain]),
                -np.array([r[f"trainprove_{v}"]["statistic"] for r in plain]),
            )
            for v in VARIANTS
        },
        **{
            f"panel_p <= {level}": (
                np.array([r["panel_p"] <= level for r in plain]),
                np.array([r["contrast"] for r in plain]),
            )
            for level in (0.05, 0.01)
        },
    }
    return {name: measures(truth, accused, score) for name, (accused, score) in found.items()}


def measures(truth: Any, accused: Any, score: Any) -> dict[str, Any]:
    """Accuracy, F1 and AUC, power, and false accusations."""
    both = int((truth & accused).sum())
    area = stats.mannwhitneyu(score[truth], score[~truth]).statistic / (truth.sum() * (~truth).sum())
    return {
        "accuracy": float((truth == accused).mean()),
        "F1": 2 * both / float(truth.sum() + accused.sum()),
        "AUC": float(area),
        "power": interval(both, int(truth.sum())),
        "false_accusations": interval(int((accused & ~truth).sum()), int((~truth).sum())),
    }


def by_kind(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Accused, by what suspects learned from."""
    out = {}
    for kind in dict.fromkeys(r["kind"] for r in rows):
        own = [r for r in rows if r["kind"] == kind]
        tags = [r[f"tags_{key}"]["outcome"] == "evidence" for r in own for key in KEYS if kind == f"tagged {key}"]
        others = [r[f"tags_{key}"]["outcome"] == "evidence" for r in own for key in KEYS if kind != f"tagged {key}"]
        out[kind] = {
            "accuracy_own": float(np.mean([r["accuracy_own"] for r in own])),
            "trainprove": interval(sum(r["trainprove_accuracy"]["accused"] for r in own), len(own)),
            "panel_p <= 0.05": interval(sum(r["panel_p"] <= 0.05 for r in own), len(own)),
            "panel_p <= 0.01": interval(sum(r["panel_p"] <= 0.01 for r in own), len(own)),
            "tags, own key": interval(sum(tags), len(tags)) if tags else None,
            "tags, other keys": interval(sum(others), len(others)),
        }
    return out


def better_or_worse(rows: list[dict[str, Any]], shadow: float) -> dict[str, Any]:
    """Innocents by how right they are beside the shadow, and who accuses them."""
    innocents = [r for r in rows if innocent(r)]
    parts = {
        "better than the shadow": [r for r in innocents if r["accuracy_own"] >= shadow],
        "up to 5 points worse": [r for r in innocents if shadow - 0.05 <= r["accuracy_own"] < shadow],
        "worse than that": [r for r in innocents if r["accuracy_own"] < shadow - 0.05],
    }
    return {
        name: {
            "n": len(part),
            "trainprove": sum(r["trainprove_accuracy"]["accused"] for r in part),
            "panel_p <= 0.05": sum(r["panel_p"] <= 0.05 for r in part),
        }
        for name, part in parts.items()
    }


def plot(rows: list[dict[str, Any]], references: list[list[float]]) -> None:
    """What the panel sees: contrasts by kind, for each control that is left out beside its references."""
    kinds = list(dict.fromkeys("tagged" if r["kind"].startswith("tagged") else r["kind"] for r in rows))
    figure = Figure(figsize=(9, 4), layout="constrained")
    for place, (axes, left_out) in enumerate(zip(figure.subplots(1, 2, sharey=True), CONTROLS, strict=True)):
        suspects = [[r["contrasts"][place] for r in rows if r["kind"].startswith(kind)] for kind in kinds]
        labels = ["references", *kinds]
        axes.boxplot([references[place], *suspects], orientation="horizontal", tick_labels=labels, widths=0.6)
        axes.axvline(float(np.quantile(references[place], 0.95)), color="#c2410c", linestyle="--", linewidth=1)
        axes.set_title(f"without “{left_out}”; references learned from it", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].invert_yaxis()
    figure.supxlabel(
        "accuracy on the owner's generator less that on the other control (line: 95 % of references)", size=9
    )
    figure.savefig(RESULTS / "provenance.png", dpi=110)


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
