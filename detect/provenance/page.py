"""The report of the passive test: pictures, distributions, and what they mean in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detect.provenance.panel import ASSUMPTION, PanelVerdict
from detect.provenance.run import Materials, ProvenanceVerdict
from detect.provenance.sets import LabelledSet
from detect.provenance.trainprove import FLAWS, PaperVerdict
from detect.reports.plots import DECOY, INK, PLANTED, svg
from protect import pages
from protect.pixels.measure import data_uri

SHOWN = 8
"""Pictures in a row."""
MEANINGS = {
    "panel evidence": "It does better on your generator's pictures than nearly all classifiers that never saw them.",
    "no evidence": "It does not do better on your generator's pictures than classifiers that never saw them. That does "
    "not show that it is innocent.",
}
"""What an outcome says."""


@dataclass(frozen=True, slots=True)
class _Picture:
    source: str
    """A data: address."""
    caption: str


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    pictures: list[_Picture]


def write_page(path: Path, verdict: ProvenanceVerdict, materials: Materials) -> None:
    """Write the report of the passive test.

    Raises:
        InputError: if it cannot be written.
    """
    rows = [_row(pictures, materials.classes) for pictures in (materials.own, *materials.controls)]
    accuracies = []
    if verdict.panel is not None:
        values = (verdict.panel.accuracy, *verdict.panel.control_accuracy)
        accuracies = [(row.name, f"{value:.1%}") for row, value in zip(rows, values, strict=True)]
    pages.write_page(
        path,
        "detect.reports",
        "passive.html.j2",
        mode=0o600,
        verdict=verdict,
        rows=rows,
        accuracies=accuracies,
        flaws=FLAWS,
        assumption=ASSUMPTION,
        meaning=MEANINGS.get(verdict.outcome, ""),
        batches=verdict.paper and batch_plot(verdict.paper),
        contrasts=verdict.panel and contrast_plot(verdict.panel),
        set_aside=materials.set_aside,
    )


def _row(pictures: LabelledSet, classes: Sequence[str]) -> _Row:
    shown = zip(pictures.pictures[:SHOWN], pictures.truth[:SHOWN], strict=True)
    return _Row(pictures.name, [_Picture(data_uri(picture), classes[truth]) for picture, truth in shown])


def batch_plot(paper: PaperVerdict) -> str:
    """The shadow's batches, the suspect's mean, and where the paper's rule stops saying guilty."""
    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.add_subplot()
    values = np.array(paper.shadow_batches)
    axes.hist(values, bins=20, color=DECOY, label=f"shadow, {len(values)} batches")
    axes.axvline(paper.suspect_mean, color=PLANTED, linewidth=2.5, label="suspect, mean")
    sign = 1 if paper.variant == "entropy" else -1
    limit = values.mean() + sign * paper.critical * values.std(ddof=1)
    axes.axvline(limit, color=INK, linestyle="--", linewidth=1.2, label="innocent beyond")
    axes.set_xlabel(
        {"accuracy": "accuracy", "entropy": "mean entropy", "similarity": "mean cosine within classes"}[paper.variant]
    )
    axes.set_ylabel("batches")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.25), ncols=3, fontsize=8)
    return svg(figure, f"Batches of the shadow; the suspect's mean is {paper.suspect_mean:.3g}, the limit {limit:.3g}")


def contrast_plot(ours: PanelVerdict) -> str:
    """Contrasts of the references of the likest group, and the suspect's beside them."""
    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.add_subplot()
    group = ours.references[ours.group]
    axes.hist(group, bins=20, color=DECOY, label=f"{len(group)} references")
    axes.axvline(ours.contrasts[ours.group], color=PLANTED, linewidth=2.5, label="suspect")
    axes.set_xlabel("accuracy: generator's pictures less controls")
    axes.set_ylabel("classifiers")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=2)
    return svg(figure, f"Contrasts of {len(group)} references; the suspect's is {ours.contrasts[ours.group]:.3g}")
