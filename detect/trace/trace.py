"""`detect trace`, `detect certify`: whose copies did a model learn from, of all recipients or of one?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from detect.suspects.images.suspect import Suspect
from detect.trace.evidence import shown
from detect.trace.look import Heard, Looking, TraceTrial
from detect.trace.slots import best_e_value, decoys_of
from detect.trace.tracing import Outcome, Tracing, source_of
from detect.trial.judge import check_testable, flags, versions
from detect.trial.ledger import commitments_held, register, register_control
from detect.trial.looks import Place
from detect.trial.probe import recognise, refuse_same
from detect.trial.questions import AS_COMMITTED, Departures, query_plan
from protect.errors import InputError
from protect.keys.history import commitments_before
from protect.keys.keyring import Keyring
from protect.keys.stamps import coin_state
from protect.progress import Progress, no_progress
from protect.release.bound import BoundRelease

MOST_RECIPIENTS = 10_000_000
"""Under test together."""


def trace(
    bound: BoundRelease,
    suspect: Suspect,
    keyring: Keyring,
    cache: Path,
    serials: range,
    *,
    control: Suspect | None = None,
    reference: Suspect | None = None,
    departures: Departures = AS_COMMITTED,
    issued: int = 0,
    progress: Progress = no_progress,
) -> Tracing:
    """Whose copy did a model learn from? With one recipient alone under test: is it that one's?

    A recipient is named from N / alpha, where N are all under test. One alone counts for itself (N = 1) if it had its
    copy before the suspect was first asked and nobody else's marks were held against the answers yet; else N are all
    who ever had a copy, because the answers may have told which one to pick.

    It is entered in the ledger as a look at the suspect. The first that asks what was committed to has the level alpha;
    whatever differs from it (recipients issued meanwhile, one alone, departures, another base or software, answers that
    were lost and drawn anew) is the i-th further look, at alpha / 2^i: together they spend twice alpha at most, if
    which of them follow does not hang on what earlier ones showed.

    Args:
        bound: the release with its families and ids, not those of a recipient.
        suspect: the model under test.
        keyring: holds the ledger.
        cache: folder for the suspect's answers.
        serials: of the recipients under test: all that were ever issued, from 1, or one that was named beforehand.
        control: a model that cannot have seen any copy; if it shows copies, too, nothing is said of the suspect.
        reference: a model such as the suspect was made from, best a LoRA's base (see `detect.trial.judge.detect`).
        departures: changes to the committed plan.
        issued: how many recipients ever had a copy, if more than those under test.
        progress: called with (stage, done, total).

    Returns:
        The answer; a repeat resumes from the cache and says the same.

    Raises:
        InputError: if the release may not be tested, there are no recipients, or the control is the suspect itself.
        ReleaseError: if the release's coin is not the value of the round that its commitment names.
    """
    check_traceable(bound, serials)
    coin_state(keyring, bound.release)
    release, plan = bound.release, query_plan(bound.release, departures)
    bound.check_questions(plan.queries)
    if not any(slot.family.uses_reference for slot in bound.slots):
        reference = None
    recognise(keyring, suspect)
    refuse_same(keyring, "reference", reference, suspect, "Give the model that the suspect was made from, or none.")
    refuse_same(keyring, "control", control, suspect, "Give a model that cannot have seen any copy.")
    trial = TraceTrial(bound, plan, reference, serials)
    looking = Looking(trial, keyring, cache, progress)
    place = register(
        keyring,
        [release],
        release,
        suspect,
        trial.name(suspect),
        departs=trial.departs,
        recipients=serials,
        issued=max(issued, serials.stop - 1),
    )
    heard, place = looking.look(suspect, place)
    control_e = place.control_e_value
    if control is not None and heard.suspicion.some >= np.log(place.look.threshold(release.plan.alpha)):
        tried = looking.ask_control(control)
        heard.trouble = heard.trouble or tried.trouble
        showed = shown(tried.suspicion.some)
        register_control(keyring, release, control, place.look.plan, showed, tried.weighed)
        control_e = max(control_e, showed)
    return _answer(trial, suspect, place, heard, control_e, keyring, controlled=control is not None)


def check_traceable(bound: BoundRelease, serials: range) -> None:
    """Refuse releases and recipients that cannot be traced.

    Raises:
        InputError: if the release may not be tested, has one copy for all, or there are no recipients or too many.
    """
    check_testable(bound.release)
    if not bound.release.plan.recipients:
        raise InputError(
            f"release {bound.release.name} was not made for recipients: all have the same copy",
            f"Use: detect run --release {bound.release.id}",
        )
    if not 1 <= len(serials) <= MOST_RECIPIENTS or serials.start < 1 or serials.step != 1:
        raise InputError(
            f"{len(serials):,} recipients from number {serials.start} cannot be tested",
            f"At least one copy must have been issued (protect issue), and at most {MOST_RECIPIENTS:,} are tested "
            "together.",
        )


def _answer(
    trial: TraceTrial,
    suspect: Suspect,
    place: Place,
    heard: Heard,
    control_e: float,
    keyring: Keyring,
    *,
    controlled: bool,
) -> Tracing:
    """What is said of the suspect."""
    release, serials, reference = trial.bound.release, trial.serials, trial.reference
    some, among = place.look.threshold(release.plan.alpha), place.look.among
    peaks = heard.suspicion.peaks
    named = np.flatnonzero(peaks >= np.log(some * among)).tolist()
    outcome, reason = _outcome(trial, heard, place, len(named), control_e)
    sources = [source_of(serials[number], float(peaks[number]), among) for number in named]
    coin = coin_state(keyring, release)
    known = flags(release, place, coin.flags, control=controlled, reference=reference is not None)
    return Tracing(
        outcome=outcome,
        reason=reason,
        release=release,
        suspect=suspect.name,
        identity=dict(suspect.identity),
        serials=serials,
        alpha=release.plan.alpha / 2**place.further_plans,
        among=among,
        threshold=some * among,
        sources=() if outcome == "inconclusive" else tuple(sources),
        some=shown(heard.suspicion.some),
        silent=tuple(heard.silent),
        queries=len(set(heard.transcript.questions)),
        decoys=min(map(decoys_of, trial.bound.slots)),
        control_e_value=control_e or None,
        reference=dict(reference.identity) | {"name": reference.name} if reference else None,
        flags=(*known, *heard.flags),
        suspects_tested=place.suspects_tested,
        plans_tried=place.plans_tried,
        commitments=commitments_held(keyring),
        commitments_before=commitments_before(keyring, release),
        plan=trial.plan,
        coin=coin.sentence,
        transcript=heard.transcript.digest if heard.weighed else "",
        answers_sha256=tuple(heard.transcript.slot_digest(part.slot) for part in heard.transcript.slots),
        versions=versions(),
        log_e_values=peaks,
    )


def _outcome(trial: TraceTrial, heard: Heard, place: Place, named: int, control_e: float) -> tuple[Outcome, str]:
    """The outcome, and why it is inconclusive."""
    alpha = trial.bound.release.plan.alpha
    some = place.look.threshold(alpha)
    needed = some * place.look.among
    if control_e >= 1 / alpha:  # the least that was ever asked of anybody
        return "inconclusive", "unlucky key: the control, which cannot have seen any copy, shows copies too"
    if heard.trouble:
        return "inconclusive", heard.trouble
    if named:
        return ("named", "") if named == 1 else ("at least two sources", "")
    if len(trial.serials) > 1 and heard.suspicion.some >= np.log(some):
        return "some copy", ""
    if heard.missing:
        return "inconclusive", f"{heard.missing} answers were refused, or are all black or of one colour"
    if sum(np.log(best_e_value(slot)) for slot in trial.bound.slots) < np.log(needed):
        return "inconclusive", f"evidence of {needed:g} is out of reach of this release's slots and decoys"
    return "nobody", ""
