"""Reports of both ways: pictures, distributions, and what they mean in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detect.provenance.panel import ASSUMPTION, PanelVerdict
from detect.provenance.run import Materials, ProvenanceVerdict
from detect.provenance.tags import TagSlot, TagVerdict
from detect.provenance.trainprove import FLAWS, PaperVerdict
from detect.reports.plots import DECOY, INK, PLANTED, svg
from protect.files import write_atomic
from protect.pixels.images import data_uri

SHOWN = 8
"""Pictures in a row."""


def write_page(path: Path, verdict: ProvenanceVerdict, materials: Materials) -> None:
    """Write the report of the passive test.

    Raises:
        InputError: if it cannot be written.
    """
    rows = [
        {
            "name": s.name,
            "pictures": [
                {"src": data_uri(p), "caption": materials.classes[c]}
                for p, c in zip(s.pictures[:SHOWN], s.truth[:SHOWN], strict=True)
            ],
        }
        for s in (materials.own, *materials.controls)
    ]
    accuracies = []
    if verdict.panel is not None:
        values = (verdict.panel.accuracy, *verdict.panel.control_accuracy)
        accuracies = [(row["name"], f"{value:.1%}") for row, value in zip(rows, values, strict=True)]
    _write(
        path,
        "page",
        verdict=verdict,
        rows=rows,
        accuracies=accuracies,
        flaws=FLAWS,
        assumption=ASSUMPTION,
        batches=verdict.paper and batch_plot(verdict.paper),
        contrasts=verdict.panel and contrast_plot(verdict.panel),
    )


def write_tags_page(path: Path, verdicts: Sequence[TagVerdict]) -> None:
    """Write the report of the exact test.

    Raises:
        InputError: if it cannot be written.
    """
    parts = [
        {
            "verdict": v,
            "slots": [
                {
                    "number": k + 1,
                    "slot": s,
                    "plot": pull_plot(s, v.classes),
                    "marked": [data_uri(p) for p in s.marked[:SHOWN]],
                    "plain": [data_uri(p) for p in s.plain[:SHOWN]],
                }
                for k, s in enumerate(v.slots)
            ],
        }
        for v in verdicts
    ]
    _write(path, "tags", parts=parts)


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
    return svg(figure)


def contrast_plot(ours: PanelVerdict) -> str:
    """Contrasts of the references, and the suspect's."""
    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(ours.references, bins=20, color=DECOY, label=f"{len(ours.references)} references")
    axes.axvline(ours.contrast, color=PLANTED, linewidth=2.5, label="suspect")
    axes.set_xlabel("accuracy: generator's pictures less controls")
    axes.set_ylabel("classifiers")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=2)
    return svg(figure)


def pull_plot(slot: TagSlot, classes: Sequence[str]) -> str:
    """How much the mark draws answers to each class; the key's class stands out."""
    figure = Figure(figsize=(5.2, 2.4), layout="constrained")
    axes = figure.add_subplot()
    order = np.argsort(slot.pull)[::-1][:20]
    colours = [PLANTED if classes[i] == slot.drawn else DECOY for i in order]
    axes.bar(range(len(order)), [slot.pull[i] for i in order], color=colours)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xticks(range(len(order)), [classes[i] for i in order], rotation=40, ha="right", fontsize=8)
    axes.set_ylabel("pull of the mark")
    return svg(figure)


def _write(path: Path, template: str, **content: Any) -> None:
    environment = Environment(loader=PackageLoader("detect", "provenance"), autoescape=select_autoescape(["j2"]))
    html = environment.get_template(f"{template}.html.j2").render(**content)
    write_atomic(path, html.encode(), mode=0o600)
