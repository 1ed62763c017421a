"""The outcome of a trial, in one word and a reason, and what a reader of it must know."""

from __future__ import annotations

from detect.trial.engine import Examined
from detect.trial.looks import Place
from detect.trial.result import tally
from detect.trial.transcript import REFUSED
from detect.trial.trial import S, Trial
from detect.trial.verdict import LookLine, Outcome
from protect.evidence import reachable
from protect.release.record import Release


def outcome_of(trial: Trial[S], found: Examined, threshold: float, control_e: float | None) -> tuple[Outcome, str]:
    """The outcome, and why it is inconclusive or less than it seems."""
    plan, slots = trial.bound.release.plan, trial.bound.slots
    if control_e is not None and control_e >= 1 / plan.alpha:  # the least that was ever asked of anybody
        return "inconclusive", "unlucky key: the control, which cannot have seen the release, shows it too"
    if found.trouble:
        return "inconclusive", found.trouble
    said = tally(found.transcript)
    if said.reference_refused:  # pairs that it leaves open do not count: nobody shall be able to choose them
        return "inconclusive", f"the reference refused {said.reference_refused} questions: give one that answers all"
    if found.results and found.peak >= threshold:
        return "evidence", ""
    if said.reference_missing:
        return "inconclusive", f"{said.reference_missing} answers of the reference are all black or of one colour"
    if said.missing:
        return "inconclusive", _missing(said.missing, said.flags.get(REFUSED, 0))
    silent = all(set(result.evidence.by_lambda) == {1.0} for result in found.results)
    if silent and found.transcript.kind == "labels":
        return "inconclusive", "its answers do not depend on the marks at all: does it answer the same to everything?"
    if not reachable(plan.decoys, [slot.family.distinct for slot in slots], threshold):
        return "inconclusive", f"evidence of {threshold:g} is out of reach of this release's slots and decoys"
    if found.results and found.peak >= 1 / plan.alpha:
        return "no evidence", "enough for one plan and one release, but further ones were tested and share the level"
    return "no evidence", ""


def _missing(missing: int, refused: int) -> str:
    blank = missing - refused
    parts = [f"{refused} questions were refused"] if refused else []
    if blank:
        parts.append(f"{blank} outputs are all black or of one colour; does the suspect run a safety checker?")
    return ", and ".join(parts)


def answer_flags(found: Examined) -> tuple[str, ...]:
    """What answers say of themselves, and whether some are not at hand any more."""
    gone = any(result.scores is None for result in found.results)
    return tuple(tally(found.transcript).flags) + (("answers-gone",) if gone else ())


def look_lines(release: Release, place: Place) -> tuple[LookLine, ...]:
    """All looks at a suspect for a release, oldest first."""
    return tuple(
        LookLine(
            entered=look.first,
            further=look.further,
            alpha=release.plan.alpha / 2**look.further,
            slots=len(look.scored()),
            e_value=look.e_value,
            this=look.key == place.look.key,
        )
        for look in place.looks_here
    )
