"""One self-contained HTML page per run: pictures first, numbers beside them, and what they mean in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray

from detect.reports.plots import decoy_histogram, in_words, running_plot
from detect.trial.verdict import SlotResult, Verdict
from protect.alignments import slot_family
from protect.files import write_atomic
from protect.pixels.images import data_uri

SHOWN = 8
"""Outputs shown per slot."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Rows of captioned pictures, shown between verdicts."""

    title: str
    text: str
    rows: Sequence[tuple[str, Sequence[tuple[NDArray[np.uint8], str]]]]


@dataclass(frozen=True, slots=True)
class Section:
    """A verdict under a heading."""

    title: str
    verdict: Verdict


def write_report(path: Path, title: str, lead: str, parts: Sequence[Gallery | Section], footer: str = "") -> None:
    """Write the page.

    Args:
        path: the HTML file.
        title: its heading.
        lead: a first paragraph.
        parts: galleries and verdicts, in order.
        footer: a last line.

    Raises:
        InputError: if it cannot be written.
    """
    page = Environment(autoescape=True, trim_blocks=True).from_string(
        files("detect").joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    tested = [p.verdict for p in parts if isinstance(p, Section)]
    latest = {v.release.id: v for v in tested}.values()
    counts = "; ".join(f"{v.release.name}: {v.suspects_tested} ({v.plans_tried} plan(s) on this one)" for v in latest)
    html = page.render(
        title=title,
        lead=lead,
        footer=footer,
        sections=[_gallery(p) if isinstance(p, Gallery) else _section(p) for p in parts],
        tested=f"Suspects tested so far with each release: {counts}." if counts else "",
    )
    write_atomic(path, html.encode(), mode=0o600)


def _gallery(gallery: Gallery) -> dict[str, Any]:
    rows = [
        {"title": title, "pictures": [{"src": data_uri(p), "caption": c} for p, c in pictures]}
        for title, pictures in gallery.rows
    ]
    return {"title": gallery.title, "text": gallery.text, "gallery": rows}


def _section(section: Section) -> dict[str, Any]:
    verdict = section.verdict
    return {
        "title": section.title,
        "verdict": verdict,
        "css": verdict.outcome.split()[0],
        "words": in_words(verdict),
        "e": f"{verdict.e_value:,.3g}" if verdict.e_value < 1000 else f"{verdict.e_value:,.0f}",
        "threshold": f"{verdict.threshold:,.0f}",
        "p": f"{verdict.p_value:.2g}",
        "slots": [_slot(verdict, slot) for slot in verdict.slots],
        "running": running_plot(verdict),
        "details": _details(verdict),
    }


def _slot(verdict: Verdict, slot: SlotResult) -> dict[str, Any]:
    mark = slot_family(verdict.release, slot.slot).preview(verdict.release.planted_id(slot.slot), 96)
    prompts = verdict.release.slots[slot.slot].prompts
    shown = [
        {"src": data_uri(picture), "caption": prompt}
        for picture, prompt in zip(slot.outputs[:SHOWN], prompts, strict=False)
    ]
    twins = [] if slot.twins is None else [{"src": data_uri(p), "caption": ""} for p in slot.twins[:SHOWN]]
    return {
        "number": slot.slot + 1,
        "trigger": slot.trigger,
        "p": f"{slot.evidence.p_value:.2g}",
        "e": f"{slot.evidence.e_value:,.3g}",
        "mark": data_uri(mark),
        "pictures": shown,
        "twins": twins,
        "histogram": decoy_histogram(slot),
    }


def _details(verdict: Verdict) -> list[tuple[str, str]]:
    release = verdict.release
    rows = [
        ("release", f"{release.name} ({release.id}), created {release.created}"),
        ("commitment", release.commitment),
        (
            "marks",
            f"{release.plan.family}, {release.plan.alignment}, rate {release.plan.rate:g}, "
            f"{release.plan.carriers} carriers in {release.plan.slots} slots",
        ),
        ("level", f"α = {verdict.alpha:g}; E must reach {verdict.threshold:,.0f}"),
        ("plan", ", ".join(f"{k} {v}" for k, v in verdict.plan.items() if v is not None)),
    ]
    if verdict.control_e_value is not None:
        rows.append(("control", f"E = {verdict.control_e_value:.3g}"))
    rows += [(f"suspect: {key}", value) for key, value in verdict.identity.items()]
    rows += [(f"version: {key}", value) for key, value in verdict.versions.items()]
    return rows
