"""Plots of a verdict, as SVG text that stands inside an HTML page."""

from __future__ import annotations

import io
from html import escape

import numpy as np
from matplotlib.figure import Figure

from detect.trial.verdict import Scores, Verdict

INK, DECOY, PLANTED, MUTED = "#24292f", "#9aa7b4", "#c2410c", "#57606a"


_CLASSES_SHOWN = 20
"""Those to which a mark draws answers most."""


def scores_plot(scores: Scores, drawn: str) -> str:
    """The planted mark among its decoys, or the drawn class among all classes."""
    return pull_plot(scores, drawn) if scores.names else decoy_histogram(scores)


def decoy_histogram(scores: Scores) -> str:
    """Scores of all decoys, and where the planted mark stands among them."""
    figure = Figure(figsize=(5.2, 2.5), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(scores.decoys, bins=60, color=DECOY, label=f"{len(scores.decoys):,} decoys")
    axes.axvline(scores.planted, color=PLANTED, linewidth=2.5, label="planted mark")
    axes.set_xlabel("score: likeness of the outputs to a mark (cosine)")
    axes.set_ylabel("decoys")
    axes.margins(x=0.04)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2)
    return svg(figure, f"Scores of {len(scores.decoys):,} decoys; the planted mark's is {scores.planted:.3g}")


def running_plot(verdict: Verdict) -> str:
    """The running e-value after each slot, on a logarithmic axis, against what was required."""
    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.add_subplot()
    evidence = np.maximum([1.0, *verdict.running], 1e-3)
    axes.plot(range(len(evidence)), evidence, marker="o", color=PLANTED, linewidth=2)
    axes.axhline(verdict.threshold, color=INK, linestyle="--", linewidth=1.2)
    axes.text(0, verdict.threshold * 1.25, f"required: {verdict.threshold:,.0f}", color=INK, fontsize=9)
    axes.set_yscale("log")
    axes.set_ylim(min(0.3, evidence.min() / 2), max(verdict.threshold, evidence.max()) * 6)
    axes.set_xticks(range(verdict.release.plan.slots + 1))
    axes.set_xlabel("slots asked")
    axes.set_ylabel("evidence E (log scale)")
    course = ", ".join(f"{e:.3g}" for e in verdict.running)
    return svg(figure, f"Evidence after each slot: {course or 'none'}; required: {verdict.threshold:,.0f}")


def pull_plot(scores: Scores, drawn: str) -> str:
    """How much the mark draws answers to each class; the key's class stands out."""
    figure = Figure(figsize=(5.2, 2.4), layout="constrained")
    axes = figure.add_subplot()
    pulls = [(scores.planted, drawn), *zip(scores.decoys.tolist(), scores.names, strict=True)]
    shown = sorted(pulls, key=lambda pair: -pair[0])[:_CLASSES_SHOWN]
    axes.bar(range(len(shown)), [p for p, _ in shown], color=[PLANTED if c == drawn else DECOY for _, c in shown])
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xticks(range(len(shown)), [name for _, name in shown], rotation=40, ha="right", fontsize=8)
    axes.set_ylabel("pull of the mark")
    return svg(figure, f"How much the mark draws answers to each class; to {drawn}, the key's, {scores.planted:.3g}")


def svg(figure: Figure, name: str) -> str:
    """A figure as SVG text without a ground of its own; the same figure gives the same bytes.

    Args:
        figure: the figure.
        name: what it shows, for those who cannot see it.
    """
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelsize=9)
    buffer = io.StringIO()
    # A fixed salt and no date: the same verdict gives the same bytes.
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "tracemark"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return f'<svg role="img" aria-label="{escape(name)}"' + text[text.index("<svg") + len("<svg") :]
