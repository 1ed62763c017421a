"""One self-contained HTML page per run: pictures first, numbers beside them, and what they mean in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect.reports.details import model_rows, release_rows
from detect.reports.flags import flag_lines
from detect.reports.plots import running_plot, scores_plot
from detect.reports.strength import strength_in_words
from detect.reports.words import EFFECTS, TONES, asked_in_words, in_words, rehearsed_in_words
from detect.trial.verdict import LookLine, Ordinary, SlotResult, Verdict
from protect.formats.record import SetAside
from protect.pages import write_page
from protect.pixels.measure import data_uri

SHOWN = 8
"""Outputs shown per slot."""
_NOTES = 8
"""Of answers."""
_FEW = 1000
"""E below this is written with decimals."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Rows of captioned pictures, shown before the verdicts."""

    title: str
    text: str
    rows: Sequence[tuple[str, Sequence[tuple[NDArray[np.uint8], str]]]]


@dataclass(frozen=True, slots=True)
class Section:
    """A verdict under a heading."""

    title: str
    verdict: Verdict
    rehearsed: bool = False
    """Whether the suspect was trained on the copy on purpose: then finding nothing is bad news."""


@dataclass(frozen=True, slots=True)
class Box:
    """Facts beside the verdicts, on which no number depends."""

    title: str
    text: str
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Picture:
    source: str
    """A data: address."""
    caption: str


@dataclass(frozen=True, slots=True)
class _Row:
    title: str
    pictures: list[_Picture]


@dataclass(frozen=True, slots=True)
class _GalleryView:
    title: str
    text: str
    rows: list[_Row]


@dataclass(frozen=True, slots=True)
class _SlotView:
    number: int
    trigger: str
    p: str
    e: str
    mark: str
    portrait: str
    """Empty for none, as all pictures are where the answers are not at hand any more."""
    pictures: list[_Picture]
    others: list[str]
    repeated: bool
    """Whether an earlier slot has shown these answers already."""
    gone: bool
    """Whether the answers are not at hand any more."""
    plot: str


@dataclass(frozen=True, slots=True)
class _OrdinaryView:
    """Answers to captions without a trigger."""

    pictures: list[_Picture]
    missing: str
    """What there is to say of those that are not shown; empty for nothing."""


@dataclass(frozen=True, slots=True)
class _SectionView:
    title: str
    verdict: Verdict
    headline: str
    tone: str
    """Class of the bar's colour: the outcome's first word, or what it means to an owner who rehearsed."""
    labels: bool
    """Whether the suspect is a classifier."""
    words: str
    asked: str
    """Whether what was found shows in ordinary use; empty for classifiers."""
    ordinary: _OrdinaryView | None
    strength: list[str]
    """How likely the release finds a guilty model, in sentences."""
    flags: list[tuple[str, str]]
    """Each with what it says."""
    e: str
    threshold: str
    p: str
    slots: list[_SlotView]
    running: str
    details: list[tuple[str, str]]


def write_report(
    path: Path,
    title: str,
    lead: str,
    sections: Sequence[Section],
    *,
    galleries: Sequence[Gallery] = (),
    boxes: Sequence[Box] = (),
    set_aside: Sequence[SetAside] = (),
    footer: str = "",
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        title: its heading.
        lead: a first paragraph.
        sections: verdicts.
        galleries: pictures, shown before the verdicts.
        boxes: facts, shown after the verdicts.
        set_aside: samples that a rehearsed suspect did not learn from; those that were to be asked about and cannot
            be are named with each verdict.
        footer: a last line.

    Raises:
        InputError: if it cannot be written.
    """
    latest = {s.verdict.release.id: s.verdict for s in sections}.values()
    counts = "; ".join(f"{v.release.name}: {v.suspects_tested} ({v.plans_tried} look(s) at this one)" for v in latest)
    held = max((v.commitments for v in latest), default=0)
    write_page(
        path,
        "detect.reports",
        "trial.html.j2",
        mode=0o600,
        title=title,
        lead=lead,
        galleries=[_gallery(gallery) for gallery in galleries],
        sections=[_section(section) for section in sections],
        boxes=[box for box in boxes if box.rows],
        set_aside=set_aside,
        labels=any(section.verdict.kind == "labels" for section in sections),
        tested=f"Suspects tested so far with each release: {counts}." if counts else "",
        commitments=f"This keyring holds {held}." if held else "",
        footer=footer,
    )


def _gallery(gallery: Gallery) -> _GalleryView:
    rows = [_Row(title, [_Picture(data_uri(p), c) for p, c in pictures]) for title, pictures in gallery.rows]
    return _GalleryView(gallery.title, gallery.text, rows)


def _section(section: Section) -> _SectionView:
    verdict = section.verdict
    return _SectionView(
        title=section.title,
        verdict=verdict,
        headline=EFFECTS[verdict.outcome] if section.rehearsed else verdict.outcome,
        tone=TONES[verdict.outcome] if section.rehearsed else verdict.outcome.split()[0],
        labels=verdict.kind == "labels",
        words=rehearsed_in_words(verdict) if section.rehearsed else in_words(verdict),
        asked=asked_in_words(verdict),
        ordinary=_ordinary(verdict.ordinary) if verdict.ordinary else None,
        strength=strength_in_words(verdict),
        flags=flag_lines(verdict.flags),
        e=f"{verdict.e_value:,.3g}" if verdict.e_value < _FEW else f"{verdict.e_value:,.0f}",
        threshold=f"{verdict.threshold:,.0f}",
        p=f"{verdict.p_value:.2g}",
        slots=[_slot(slot, verdict.slots[:place]) for place, slot in enumerate(verdict.slots)],
        running=running_plot(verdict),
        details=_details(verdict),
    )


def _ordinary(found: Ordinary) -> _OrdinaryView:
    held = [(found.pictures[answer.sha256], asked.prompt) for asked, answer in found.exchanges if answer.size]
    refused = len(found.exchanges) - len(held)
    missing = f"There are none: {found.trouble}." if found.trouble else f"{refused} were refused." * bool(refused)
    return _OrdinaryView([_Picture(data_uri(picture), prompt) for picture, prompt in held], missing)


def _slot(slot: SlotResult, earlier: Sequence[SlotResult]) -> _SlotView:
    """A slot; answers that an earlier one has shown already are not shown again."""
    shown, counted = slot.shown, slot.counted
    known = any(counted.answer_sha256 == other.counted.answer_sha256 for other in earlier)
    pictures = zip(shown.pictures[:SHOWN], shown.captions, strict=False) if shown and not known else ()
    others = shown.others[:SHOWN] if shown and shown.others is not None and not known else ()
    return _SlotView(
        number=slot.slot + 1,
        trigger=slot.trigger,
        p=f"{slot.evidence.p_value:.2g}",
        e=f"{slot.evidence.e_value:,.3g}",
        mark=data_uri(shown.mark) if shown else "",
        portrait=data_uri(shown.portrait) if shown and shown.portrait is not None else "",
        pictures=[_Picture(data_uri(picture), caption) for picture, caption in pictures],
        others=[data_uri(picture) for picture in others],
        repeated=known and shown is not None,
        gone=shown is None,
        plot=scores_plot(slot.scores, slot.trigger) if slot.scores else "",
    )


def _details(verdict: Verdict) -> list[tuple[str, str]]:
    release = verdict.release
    return [
        *release_rows(verdict),
        (
            "marks",
            f"{release.plan.families}, {len(release.carriers)} carriers in {release.plan.slots} slots",
        ),
        ("level", f"α = {verdict.alpha:g}; E must reach {verdict.threshold:,.0f}"),
        ("plan", ", ".join(f"{k} {v}" for k, v in verdict.plan.items() if v is not None)),
        ("questions whose trigger was cut off", _truncated(verdict)),
        ("transcript", verdict.transcript or "nothing was asked"),
        *((f"look of {look.entered}", _look(look)) for look in verdict.looks),
        *(("an answer says", note) for note in verdict.tally.notes[:_NOTES]),
        *model_rows(verdict),
    ]


def _look(look: LookLine) -> str:
    """One look at the suspect, in words."""
    which = f"further look {look.further}" if look.further else "the committed plan"
    this = "; this page's" if look.this else ""
    return f"{which}, α = {look.alpha:g}: E = {look.e_value:.3g} over {look.slots} slot(s){this}"


def _truncated(verdict: Verdict) -> str:
    known = verdict.truncated
    return "not known" if known is None else f"{known} of {verdict.asked_with_trigger}"
