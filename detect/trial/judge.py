"""`detect run`: ask slot by slot, score against fresh decoys, stop when the evidence suffices."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from detect.suspects.images.suspect import Suspect
from detect.trial.answers import digest
from detect.trial.ask import AskedSlots, Trial
from detect.trial.ledger import (
    LedgerPlace,
    commitments_held,
    count_suspects,
    register,
    register_control,
    setting_of,
    subject_of,
    withdraw,
)
from detect.trial.questions import (
    AS_COMMITTED,
    Departures,
    query_plan,
)
from detect.trial.verdict import Outcome, Verdict
from protect import __version__
from protect.errors import InputError, TracemarkError
from protect.evidence import overall_p_value, reachable
from protect.keys.keyring import Keyring
from protect.keys.tree import NO_COIN
from protect.marks import family_class
from protect.progress import Progress, no_progress
from protect.release.bound import BoundRelease, bind
from protect.release.record import Release

_PACKAGES = ("torch", "diffusers", "transformers", "peft", "numpy")


def detect(
    bound: BoundRelease,
    suspect: Suspect,
    keyring: Keyring,
    cache: Path,
    *,
    releases: Sequence[Release] = (),
    control: Suspect | None = None,
    reference: Suspect | None = None,
    departures: Departures = AS_COMMITTED,
    progress: Progress = no_progress,
) -> Verdict:
    """Test one release against one suspect.

    Args:
        bound: the release with its families and ids.
        suspect: the model under test.
        keyring: holds the ledger.
        cache: folder for the suspect's outputs.
        releases: all releases under test on this suspect now; with R of them each must reach R times more evidence,
            and twice that after an earlier call that tested others, and so on (`ledger.LedgerPlace.share`).
        control: a model that cannot have seen the release; evidence there voids evidence here.
        reference: a model such as the suspect was made from, best a LoRA's base: families that compare words take off
            what the words do to it. Another reference, or none, is a further plan.
        departures: changes to the committed plan.
        progress: called with (stage, done, total).

    Returns:
        The verdict; a repeat of the same plan resumes from the cache and answers the same.

    Raises:
        InputError: if the release may not be tested (`check_testable`), departures are out of range, or the control
            is the suspect itself.
    """
    release = bound.release
    check_testable(release)
    plan = query_plan(release, departures)
    bound.check_questions(plan.queries)
    if not any(slot.family.uses_reference for slot in bound.slots):
        reference = None
    setting = setting_of(suspect) | ({"reference": digest(reference.identity)} if reference else {})
    name = plan.digest(release, setting)
    _check_other("control", control, suspect, "Give a model that cannot have seen the release.")
    _check_other("reference", reference, suspect, "Give the model that the suspect was made from, or none.")
    place = register(keyring, releases or [release], release, suspect, name)
    alpha = release.plan.alpha / 2**place.further_plans
    trial = Trial(bound, plan, place.share / alpha, cache, progress, reference)
    answers = trial.ask(suspect, len(bound.slots))
    if answers.trouble and place.new and not trial.any_picture(suspect):
        withdraw(keyring, release, suspect, name)
    control_e = place.control_e_value or None
    if control is not None and answers.slots and answers.peak >= trial.threshold:
        shown = _ask_control(trial, control, answers)
        register_control(keyring, release, control, name, shown)
        control_e = max(place.control_e_value, shown)
    outcome, reason = _judge(trial, answers, control_e)
    return Verdict(
        outcome=outcome,
        reason=reason,
        release=release,
        suspect=suspect.name,
        identity=dict(suspect.identity),
        alpha=alpha,
        threshold=trial.threshold,
        e_value=answers.peak,
        p_value=overall_p_value(answers.running),
        running=tuple(float(e) for e in answers.running),
        queries=len(answers.queries),
        slots=tuple(answers.slots),
        control_e_value=control_e,
        reference=dict(reference.identity) | {"name": reference.name} if reference else None,
        flags=flags(release, place, control=control is not None, reference=reference is not None),
        suspects_tested=place.suspects_tested,
        plans_tried=place.plans_tried,
        commitments=commitments_held(keyring),
        plan=plan,
        versions=versions(),
    )


def _check_other(role: str, other: Suspect | None, suspect: Suspect, next_step: str) -> None:
    if other is not None and subject_of(other) == subject_of(suspect):
        raise InputError(f"the {role} {other.name} has the suspect's own weights", next_step)


def _ask_control(trial: Trial, control: Suspect, answers: AskedSlots) -> float:
    """Put the same questions to a control; its largest E, 0 if it did not answer. Counts its trouble in `answers`."""
    if trial.reference is not None and subject_of(trial.reference) == subject_of(control):
        trial = replace(trial, reference=None)  # taken off itself, nothing would be left to see
    tried = trial.ask(control, len(answers.slots))
    answers.trouble = answers.trouble or tried.trouble
    return float(tried.running.max(initial=0.0))


def uses_reference(release: Release) -> bool:
    """Whether a reference's answers are taken off for one of its families; False if one is not installed."""
    try:
        return any(family_class(part.family).uses_reference for part in release.plan.parts)
    except InputError:
        return False


def check_testable(release: Release) -> None:
    """Refuse a release that cannot have been learned from, or whose marks are not final.

    Raises:
        InputError: if it has no copy yet, or waits for the value of the coin that it names.
    """
    if release.coin_named and release.coin == NO_COIN:
        named = release.coin_named
        raise InputError(
            f"release {release.id} waits for the coin {named.source}, round {named.round}: its marks are not drawn yet",
            "Embed it with --coin VALUE.",
        )
    if not release.complete:
        raise InputError(f"release {release.id} has no copy yet", "Embed it first; nobody can have learned from it.")


def _judge(trial: Trial, answers: AskedSlots, control_e: float | None) -> tuple[Outcome, str]:
    """The outcome, and why it is inconclusive or less than it seems."""
    plan, threshold = trial.bound.release.plan, trial.threshold
    if control_e is not None and control_e >= threshold:
        return "inconclusive", "unlucky key: the control, which cannot have seen the release, shows it too"
    if answers.trouble:
        return "inconclusive", answers.trouble
    if answers.slots and answers.peak >= threshold:
        return "evidence", ""
    if unanswered := sum(slot.reference_blank for slot in answers.slots):
        return "inconclusive", f"{unanswered} answers of the reference are all black or of one colour"
    blank = sum(slot.blank for slot in answers.slots)
    if blank:
        return "inconclusive", f"{blank} outputs are all black or of one colour; does the suspect run a safety checker?"
    if not reachable(plan.decoys, [slot.family.distinct for slot in trial.bound.slots], threshold):
        return "inconclusive", f"evidence of {threshold:g} is out of reach of this release's slots and decoys"
    if answers.slots and answers.peak >= 1 / plan.alpha:
        return "no evidence", "enough for one plan and one release, but further ones were tested and share the level"
    return "no evidence", ""


def flags(
    release: Release, place: LedgerPlace | None, *, control: bool = False, reference: bool = False
) -> tuple[str, ...]:
    """What a reader of a verdict must know.

    Args:
        release: the release under test.
        place: of the test in the ledger; None if it was not entered.
        control: whether a control was given.
        reference: whether a reference's answers were taken off.
    """
    found = []
    found.append("no-public-coin" if release.coin == NO_COIN else "coin-not-checked")
    if release.rehearsal:
        found.append("throw-away-key")
    if place is not None and place.further_plans:
        found.append(f"further-plan-{place.further_plans}")
    if control:
        found.append("control")
    if reference:
        found.append("reference")
    return tuple(found)


def versions() -> dict[str, str]:
    """Versions of this program and of the libraries that outputs depend on."""
    return {"tracemark": __version__, **{name: importlib.metadata.version(name) for name in _PACKAGES}}


def detect_all(
    releases: Sequence[Release],
    suspect: Suspect,
    keyring: Keyring,
    cache: Path,
    *,
    control: Suspect | None = None,
    reference: Suspect | None = None,
    departures: Departures = AS_COMMITTED,
    progress: Progress = no_progress,
) -> list[Verdict]:
    """Test every release, each at its share of the level (Bonferroni: E must reach R/alpha).

    A release that this program cannot use gets an inconclusive verdict and is not entered in the ledger.
    """
    verdicts = []
    for release in releases:
        try:
            check_testable(release)
            bound = bind(release, keyring.store)
        except TracemarkError as error:  # one release's trouble must not end the tests of the others
            verdicts.append(_untested(release, suspect, keyring, len(releases), departures, error.what))
            continue
        verdicts.append(
            detect(
                bound,
                suspect,
                keyring,
                cache,
                releases=releases,
                control=control,
                reference=reference,
                departures=departures,
                progress=progress,
            )
        )
    return verdicts


def _untested(
    release: Release, suspect: Suspect, keyring: Keyring, together: int, departures: Departures, reason: str
) -> Verdict:
    """What is said of a release without a single question."""
    return Verdict(
        outcome="inconclusive",
        reason=reason,
        release=release,
        suspect=suspect.name,
        identity=dict(suspect.identity),
        alpha=release.plan.alpha,
        threshold=together / release.plan.alpha,
        e_value=1.0,
        p_value=1.0,
        running=(),
        queries=0,
        slots=(),
        control_e_value=None,
        reference=None,
        flags=flags(release, None),
        suspects_tested=count_suspects(keyring, release),
        plans_tried=0,
        commitments=commitments_held(keyring),
        plan=query_plan(release, departures),
        versions=versions(),
    )
