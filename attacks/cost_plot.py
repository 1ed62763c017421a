"""A plot of evidence against what it costs a thief to escape it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attacks.cell import Cell
from attacks.summary import Summary

_FOUND, _MISSED, _JOINED, _REQUIRED = "#15803d", "#c2410c", "#9aa7b4", "#888888"
_WIDE = 30.0
"""If some attack raises the kernel distance by more, the axis is logarithmic: refusals cost very much, most others
hardly anything."""
_LINEAR = 10.0
"""Up to this rise such an axis stays linear."""
_APART = 0.1
"""Attacks that cost more than this share of the dearest are named."""
_TYPE, _LINE, _WIDTH = 7, 8, 90
"""Size of names, and the height and width that one takes; in points."""


@dataclass(frozen=True, slots=True)
class _Point:
    """One attack at one strength."""

    cell: Cell
    cost: float
    """Rise of the kernel distance."""
    evidence: float
    found: bool
    """Whether every conclusive test found evidence, and there was one."""


def cost_plot(summaries: Sequence[Summary]) -> Figure:
    """Evidence against what the attack costs; strengths of one attack are joined, and what stands apart is named."""
    points = [
        _Point(s.first.cell, s.rise.kernel_distance, s.evidence, s.found == s.conclusive > 0)
        for s in summaries
        if s.rise is not None
    ]
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set(
        yscale="log",
        xlabel="rise of the kernel distance between the model's pictures and real ones",
        ylabel="evidence E (line: 1 / α)",
    )
    dearest = max((point.cost for point in points), default=0.0)
    if dearest > _WIDE:
        axes.set_xscale("symlog", linthresh=_LINEAR)
    for point in points:
        axes.scatter(point.cost, point.evidence, s=26, color=_FOUND if point.found else _MISSED, zorder=3)
    _name(axes, [p for p in points if p.cost > _APART * dearest or not p.found])
    for curve in _curves(points):
        axes.plot([p.cost for p in curve], [p.evidence for p in curve], color=_JOINED, linewidth=1)
    if summaries:
        axes.axhline(1 / summaries[0].first.alpha, color=_REQUIRED, linestyle="--", linewidth=1)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _name(axes: Axes, points: Sequence[_Point]) -> None:
    """Names beside points, from below; one that would lie on another is pushed up."""
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: p.evidence):
        place = point.cost, point.evidence
        x, y = axes.transData.transform(place) * 72 / axes.figure.dpi  # in points of type
        height = y + 3
        while any(abs(x - left) < _WIDTH and abs(height - other) < _LINE for left, other in taken):
            height += 1
        taken.append((x, height))
        name = f"{point.cell.attack}, {point.cell.where}"
        axes.annotate(name, place, xytext=(6, height - y), textcoords="offset points", fontsize=_TYPE)


def _curves(points: Sequence[_Point]) -> list[list[_Point]]:
    """Points of one attack by rising strength, where there are several."""
    found: dict[tuple[str, ...], list[_Point]] = {}
    for point in sorted(points, key=lambda p: p.cell.strength):
        cell = point.cell
        found.setdefault((cell.attack, cell.where, cell.family, cell.alignment), []).append(point)
    return [curve for curve in found.values() if len(curve) > 1]
