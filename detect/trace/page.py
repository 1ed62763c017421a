"""The page of `detect trace` and `detect certify`: who is named, how clearly, and what that rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from detect.reports.details import model_rows, release_rows
from detect.reports.flags import flag_lines
from detect.reports.plots import DECOY, INK, PLANTED, svg
from detect.trace.evidence import shown
from detect.trace.tracing import Outcome, Tracing
from detect.trace.words import Names, called, certified_in_words, headline, in_words
from protect.evidence import Array
from protect.pages import write_page

MOST_BARS = 60
"""Recipients who get a bar each; more are counted."""
_MOST_TICKS = 12
_TONES: dict[Outcome, str] = {"nobody": "no", "inconclusive": "open"}
_CERTIFIED: dict[Outcome, str] = {"named": "good"}
"""Class of the answer's colour: being certified is good news, and not being it says nothing."""


def write_trace_page(path: Path, found: Tracing, names: Names, *, certify: bool = False) -> None:
    """Write the page, readable by its owner only. Whoever is not named does not appear on it by name.

    Args:
        path: the HTML file.
        found: the answer.
        names: what recipients are called, by serial number, as far as it is known.
        certify: whether it is about one recipient, who was named beforehand.

    Raises:
        InputError: if it cannot be written.
    """
    own = f"Did “{found.suspect}” learn from the copy of {called(found.serials.start, names)}?"
    write_page(
        path,
        "detect.reports",
        "trace.html.j2",
        mode=0o600,
        title=own if certify else f"From whose copy did “{found.suspect}” learn?",
        found=found,
        certify=certify,
        headline=headline(found, names, certify=certify),
        tone=_CERTIFIED.get(found.outcome, "open") if certify else _TONES.get(found.outcome, "evidence"),
        words=certified_in_words(found, names) if certify else in_words(found, names),
        sources=[(called(s.serial, names), _short(s.e_value), f"{s.p_value:.2g}") for s in found.sources],
        threshold=f"{found.threshold:,.0f}",
        some=_short(found.some),
        some_threshold=f"{found.some_threshold:,.0f}",
        plot="" if found.outcome == "inconclusive" else evidence_plot(found),
        flags=flag_lines(list(dict.fromkeys(found.flags))),
        details=_details(found),
    )


def evidence_plot(found: Tracing) -> str:
    """Evidence of every recipient, by number or counted, and the line from which one is named; as SVG text."""
    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.add_subplot()
    evidence, line = found.log_e_values / np.log(10), float(np.log10(found.threshold))
    named = np.zeros(len(evidence), dtype=bool)
    named[[source.serial - found.serials.start for source in found.sources]] = True
    if len(evidence) <= MOST_BARS:
        _bars(axes, found.serials, evidence, named, line)
    else:
        _counts(axes, evidence, named, line)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=3, fontsize=8)
    largest = _short(shown(float(found.log_e_values.max())))
    return svg(
        figure,
        f"Evidence of {len(evidence):,} recipient(s): the largest E is {largest}, a name needs {found.threshold:,.0f}; "
        f"{named.sum()} reached it",
    )


def _bars(axes: Axes, serials: range, evidence: Array, named: NDArray[np.bool_], line: float) -> None:
    numbers = np.array(serials)
    width = 0.8 * min(1.0, len(serials) / 5)
    for chosen, colour, label in _parts(named):
        axes.bar(numbers[chosen], evidence[chosen], width, color=colour, label=label)
    axes.axhline(line, color=INK, linestyle="--", linewidth=1.2, label=_label(line))
    axes.set_xlim(serials.start - 1, serials.stop)
    axes.set_ylim(0, max(line, evidence.max()) * 1.1)
    axes.xaxis.set_major_locator(FixedLocator(serials) if len(serials) <= _MOST_TICKS else MaxNLocator(integer=True))
    axes.set_xlabel("recipient, by number")
    axes.set_ylabel("evidence, log10 of E")


def _counts(axes: Axes, evidence: Array, named: NDArray[np.bool_], line: float) -> None:
    bins = np.linspace(0, max(line, evidence.max()) * 1.05, 61).tolist()
    for chosen, colour, label in _parts(named):
        axes.hist(evidence[chosen], bins=bins, color=colour, label=label)
    axes.axvline(line, color=INK, linestyle="--", linewidth=1.2, label=_label(line))
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    axes.set_xlabel("evidence, log10 of E")
    axes.set_ylabel("recipients (log scale)")


def _parts(named: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], str, str]]:
    """Recipients below the line and beyond it, each with colour and label; those that there are."""
    parts = [(~named, DECOY, "below the line"), (named, PLANTED, "reached it")]
    return [part for part in parts if part[0].any()]


def _label(line: float) -> str:
    return f"line: E = {10**line:,.0f}"


def _details(found: Tracing) -> list[tuple[str, str]]:
    release = found.release
    return [
        *release_rows(found),
        ("marks", f"{release.plan.families}; {release.plan.slots} slots, {len(found.silent)} of them silent"),
        ("compared with", f"{found.decoys:,} marks that are in nobody's copy"),
        ("level", f"α = {found.alpha:g}, for all recipients under test together"),
        ("suspects tested with this release", f"{found.suspects_tested}; looks at this one: {found.plans_tried}"),
        ("plan", ", ".join(f"{name} {value}" for name, value in found.plan.items() if value is not None)),
        ("transcript", found.transcript or "nothing was asked"),
        *((f"answers of slot {slot + 1}", sha256) for slot, sha256 in enumerate(found.answers_sha256)),
        *model_rows(found),
    ]


def _short(e_value: float) -> str:
    return f"{e_value:,.4g}"
