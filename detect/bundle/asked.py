"""What a bundle's transcript must be: all planned questions, each answered once, and nothing else.

Whoever may leave answers out, ask some slots less than others, or answer one question twice can choose which answers
count. Every answer may then be true, and its picture what its hash says.
"""

from __future__ import annotations

from typing import Any

from detect.bundle.pictures import wrong
from detect.trial.questions import contrast_queries, query_plan, trigger_queries
from detect.trial.result import tally
from detect.trial.transcript import REFUSED, Transcript
from protect.release.bound import BoundRelease


def check_asked(bound: BoundRelease, transcript: Transcript) -> None:
    """Refuse a transcript that leaves room for a choice.

    Args:
        bound: the release as far as it is revealed.
        transcript: pictures, with all slots that are revealed.

    Raises:
        EvidenceError: naming what is wrong.
    """
    count = transcript.plan["queries_per_slot"]
    if type(count) is not int or not 1 <= count <= bound.release.plan.queries:
        raise wrong(f"{count!r:.20} questions were put to each slot, {bound.release.plan.queries} were planned")
    _check_places(bound, transcript, count, everywhere=True)
    if (reference := transcript.reference) is None:
        return
    if (reference.release, reference.kind, reference.plan) != (transcript.release, transcript.kind, transcript.plan):
        raise wrong("its reference was asked for another release, or in another way")
    if reference.reference is not None:
        raise wrong("its reference has a reference of its own")
    _check_places(bound, reference, count, everywhere=False)


def departs(bound: BoundRelease, transcript: Transcript) -> bool:
    """Whether fewer questions were put than planned, or with other settings."""
    return dict(transcript.plan) != query_plan(bound.release).as_dict()


def about_asked(bound: BoundRelease, transcript: Transcript) -> list[str]:
    """What a reader must know of questions and refusals, in sentences."""
    said, lines = tally(transcript), list[str]()
    if departs(bound, transcript):
        settings = ", ".join(f"{name} {value}" for name, value in transcript.plan.items() if value is not None)
        lines.append(f"The committed plan was left ({settings}): one further look, as its owner says.")
    if refused := said.flags.get(REFUSED, 0):
        lines.append(f"{refused} of {said.planned} questions are told of as refused: that is the owner's word, too.")
    if blank := said.missing - refused:
        lines.append(f"{blank} of {said.planned} answers are of one colour.")
    if said.reference_missing:
        lines.append(f"{said.reference_missing} answers of the reference are refused or of one colour.")
    return lines


def _check_places(bound: BoundRelease, transcript: Transcript, count: int, *, everywhere: bool) -> None:
    """See that every slot has its planned number of questions, and every question one answer and a use."""
    for slot in bound.slots:
        part = transcript.part(slot.number)
        if part is None and not everywhere and not slot.family.uses_reference:
            continue
        planned = len(trigger_queries(slot, count)), len(contrast_queries(slot, count)) * slot.family.paired
        found: Any = part and (len(part.asked), len(part.contrast))
        if found != planned:
            raise wrong(f"slot {slot.number} was not asked its {planned[0]} questions, and {planned[1]} the other way")
    if len(set(transcript.questions)) != len(transcript.questions):
        raise wrong("a question has several answers in it")
    used = {place for part in transcript.slots for place in (*part.asked, *part.contrast)}
    if used != set(range(len(transcript.questions))):
        raise wrong("it holds answers that serve no slot")
