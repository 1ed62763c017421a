"""What came of `benchmarks.provenance`: whom each rule accuses, in tables and in a plot."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.common import RESULTS, interval
from benchmarks.provenance_sets import CONTROLS, KEYS, UNKNOWN
from detect.provenance.trainprove import VARIANTS


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
