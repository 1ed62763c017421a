"""Who can tell that words follow looks? A finder that has the program but not the key, against softness of the choice.

    python -m benchmarks.wording_stealth [--keys 3]

For every site of a marked copy the finder learns to tell the side of a caption from the looks of its picture (ridge
regression on all 192 numbers of a glance, five folds) and is judged by the area under its ROC curve. Beside it stands
how strongly words and looks are tied: the difference of the two sides' means along the mark, in standard deviations.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.common import Clock, keyring_in, write_result
from protect.embed.looks import Glances, take_glances
from protect.embed.write import embed
from protect.execution.budget import MemoryBudget
from protect.formats import open_dataset
from protect.keys.tree import secret_from_seed
from protect.marks.family import Array, ChoosingFamily
from protect.release.bound import BoundRelease
from protect.release.plan import Options
from protect.sample import unpack_sample

RATES, SOFTNESS = (0.5, 1.0), (0.0, 0.5, 1.0, 2.0, 4.0)
FOLDS = 5
RIDGE = 1e-2
"""Part of the mean variance that is added to all."""


def area(scores: Array, right: Array) -> float:
    """Area under the ROC curve."""
    positive, negative = scores[right > 0], scores[right <= 0]
    return float(stats.mannwhitneyu(positive, negative).statistic / len(positive) / len(negative))


def predicted(features: Array, sides: Array) -> Array:
    """Cross-validated predictions of sides (-1 or 1) from features (n, d)."""
    folds = np.random.default_rng(0).permutation(len(features)) % FOLDS
    found = np.zeros(len(features))
    for fold in range(FOLDS):
        known, asked = folds != fold, folds == fold
        mean = features[known].mean(axis=0)
        x, y = features[known] - mean, sides[known] - sides[known].mean()
        covariance = x.T @ x
        covariance += RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        found[asked] = (features[asked] - mean) @ np.linalg.solve(covariance, x.T @ y)
    return found


def cell(bound: BoundRelease, copy: Path, glances: Glances) -> list[dict[str, Any]]:
    """Every site of one copy."""
    captions = [record.caption for record in open_dataset(copy).records()]
    rows = []
    for slot in bound.slots:
        states = np.array([-1 if s is None else s for s in (_side(slot, c) for c in captions)])
        fit = states >= 0
        sides = np.where(states[fit] == 1, 1.0, -1.0)
        features = glances.levels[fit].reshape(fit.sum(), -1).astype(np.float64)
        family = slot.family
        assert isinstance(family, ChoosingFamily)
        leaning = family.leanings(family.fitted_looks.of_glances(glances.levels[fit].astype(np.float64)), slot.planted)
        rows.append(
            {
                "site": slot.trigger,
                "captions": int(fit.sum()),
                "second_side": float((sides > 0).mean()),
                "auc": area(predicted(features, sides), sides),
                "tie": float(leaning[sides > 0].mean() - leaning[sides < 0].mean()),
            }
        )
    return rows


def _side(slot: Any, caption: str) -> int | None:
    state: int | None = slot.alignment.sites[slot.trigger].state(caption)
    return state


def measured(keys: Sequence[int], place: Path) -> list[dict[str, Any]]:
    """All cells."""
    dataset = place / "dataset"
    unpack_sample(dataset)
    records = list(open_dataset(dataset).records())
    glances = take_glances(records, len(records), lambda record, data: None, MemoryBudget())
    rows = []
    for rate in RATES:
        for softness in SOFTNESS:
            for key in keys:
                name = f"{rate:g}-{softness:g}-{key}"
                options = Options(rate=rate, family="lean", alignment="wording", family_options={"softness": softness})
                secret = secret_from_seed(key, "benchmark wording stealth")
                done = embed(dataset, place / name, options, keyring_in(place / f"keyring-{name}"), secret=secret)
                found = cell(done.bound, place / name, glances)
                changed = len(done.release.carriers) / len(records)
                rows.append({"rate": rate, "softness": softness, "key": key, "changed": changed, "sites": found})
                print(name, [round(site["auc"], 3) for site in found], [round(site["tie"], 2) for site in found])
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=3)
    args = parser.parse_args()
    clock = Clock()
    with TemporaryDirectory() as place:
        rows = measured(range(args.keys), Path(place))
    cells = [
        {
            "rate": rate,
            "softness": softness,
            **{
                name: float(np.median([site[name] for r in rows for site in r["sites"] if _same(r, rate, softness)]))
                for name in ("auc", "tie", "second_side")
            },
        }
        for rate in RATES
        for softness in SOFTNESS
    ]
    write_result("wording_stealth", {"cells": cells, "rows": rows}, clock())


def _same(row: dict[str, Any], rate: float, softness: float) -> bool:
    return bool(row["rate"] == rate and row["softness"] == softness)


if __name__ == "__main__":
    main()
