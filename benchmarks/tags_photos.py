"""Tags on real photographs by class: classifiers of marked and of unmarked pictures, scores and labels alone.

    python -m benchmarks.tags_photos --train FOLDER --test FOLDER --work W

FOLDER holds class folders of small photographs (measured with CIFAR-10: 500 of each class to train, 200 to test). Three
keys: `template` on 2 % of the pictures, eight slots.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import Clock, interval, keyring_in, marked_copy, write_result
from detect.provenance.sets import read_set
from detect.provenance.tag_questions import open_original
from detect.provenance.tags import detect_tags
from detect.provenance.training import Recipe, train_classifier
from detect.suspects.classifiers.classes import Aligned
from detect.suspects.classifiers.classifier import Answers, Classifier
from protect.keys.tree import secret_from_seed
from protect.marks.family import Pixels
from protect.release.bound import BoundRelease
from protect.release.plan import Options

KEYS, EACH, TEST = range(720, 723), 500, 200
RECIPE = Recipe("resnet-mini", epochs=20, side=32)
OPTIONS = Options(rate=0.02, family="template", alignment="label")


class LabelsOnly(Classifier):
    """A suspect that keeps its scores to itself."""

    def __init__(self, suspect: Classifier) -> None:
        self._suspect = suspect
        self.name, self.identity = suspect.name + " labels", suspect.identity | {"answers": "labels"}
        self.classes = suspect.classes

    def answer(self, pictures: Pixels) -> Answers:
        """Labels."""
        return replace(self._suspect.answer(pictures), scores=None)


def release_of(work: Path, key: int) -> BoundRelease:
    """The marked copy of a key, embedded once."""
    keyring, secret = keyring_in(work / "keyring"), secret_from_seed(key, "tags on photographs")
    return marked_copy(work / "pictures", work / f"marked-{key}", OPTIONS, keyring, secret)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    clock, work = Clock(), args.work
    classes = sorted(p.name for p in args.train.iterdir() if p.is_dir())
    for name in classes:
        if not (work / "pictures" / name).exists():
            partial = work / f"{name}.partial"
            partial.mkdir(parents=True, exist_ok=True)
            for path in sorted((args.train / name).iterdir())[:EACH]:
                shutil.copy(path, partial / path.name)
            (work / "pictures").mkdir(exist_ok=True)
            partial.rename(work / "pictures" / name)
    test = read_set(args.test, classes, TEST, RECIPE.side)
    releases, original = {key: release_of(work, key) for key in KEYS}, open_original(work / "pictures")
    rows: list[dict[str, Any]] = []
    for key in (*KEYS, None):
        folder = work / (f"marked-{key}" if key else "pictures")
        recipe = replace(RECIPE, seed=key or 0)
        model = train_classifier(read_set(folder, classes, EACH, RECIPE.side), classes, recipe, work / "classifiers")
        right = float((model.answer(test.pictures).labels == test.truth).mean())
        for tested, bound in releases.items():
            for kind, suspect in (("scores", model), ("labels", LabelsOnly(model))):
                # A ledger of its own: an experiment by itself, not one look among many.
                home = keyring_in(work / "tests" / f"{key}-{tested}-{kind}")
                found = detect_tags(bound, Aligned(suspect, tuple(classes)), original, home, work / "cache")
                rows.append(
                    {
                        "learned_from": key or "unmarked",
                        "key": tested,
                        "answers": kind,
                        "accuracy": right,
                        "verdict": found.outcome,
                        "e_value": found.e_value,
                        "queries": found.queries,
                    }
                )
                print(rows[-1], flush=True)
    write_result(
        "tags_photos",
        {
            "release": "template, 2 % in eight slots, alignment label; alpha 1e-3",
            "recipe": "resnet-mini, 20 epochs",
            **{f"found, {kind}": interval(*_count(rows, kind, guilty=True)) for kind in ("scores", "labels")},
            # One model's tests under several keys are independent; models share keys.
            **{
                f"accused, {kind}": dict(zip(("k", "n"), _count(rows, kind, guilty=False), strict=True))
                for kind in ("scores", "labels")
            },
            "rows": rows,
        },
        clock(),
    )


def _count(rows: list[dict[str, Any]], kind: str, *, guilty: bool) -> tuple[int, int]:
    own = [r for r in rows if r["answers"] == kind and (r["learned_from"] == r["key"]) == guilty]
    return sum(r["verdict"] == "evidence" for r in own), len(own)


if __name__ == "__main__":
    main()
