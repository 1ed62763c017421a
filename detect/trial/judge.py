"""`detect run`: test releases on a suspect, and say what came of it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from detect.suspects.images.suspect import Suspect
from detect.trial.engine import Examined, ask_control, examine
from detect.trial.ledger import commitments_held, opened, register_control
from detect.trial.looks import Place
from detect.trial.outcome import answer_flags, look_lines, outcome_of
from detect.trial.picture_trial import PictureTrial
from detect.trial.probe import recognise, refuse_same
from detect.trial.questions import AS_COMMITTED, Departures, query_plan
from detect.trial.result import tally
from detect.trial.trial import S, Trial
from detect.trial.verdict import Verdict
from protect import __version__
from protect.errors import InputError
from protect.evidence import overall_p_value
from protect.keys.history import commitments_before
from protect.keys.keyring import Keyring
from protect.keys.stamps import coin_state
from protect.keys.tree import NO_COIN
from protect.marks import family_class
from protect.progress import Progress, no_progress
from protect.release.bound import BoundRelease
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
    anew: bool = False,
    at_least: float = 0.0,
    progress: Progress = no_progress,
) -> Verdict:
    """Test one release against one text-to-image model.

    Args:
        bound: the release with its families and ids.
        suspect: the model under test.
        keyring: holds the ledger.
        cache: folder for the suspect's answers.
        releases: all releases under test on this suspect now; with R of them each must reach R times more evidence,
            and twice that after an earlier call that tested others, and so on (`levels.Ledger`).
        control: a model that cannot have seen the release; evidence there voids evidence here.
        reference: a model such as the suspect was made from, best a LoRA's base: families that compare words take off
            what the words do to it. Another reference, or none, is a further plan.
        departures: changes to the committed plan.
        anew: have the questions answered once more; other answers than before are a further look at half the level.
        at_least: go on until E is so large, even where less suffices for a verdict.
        progress: called with (stage, done, total).

    Returns:
        The verdict; a repeat of the same plan says the same, even when the cache was emptied.

    Raises:
        InputError: if the release may not be tested (`check_testable`), departures are out of range, or the control
            is the suspect itself.
    """
    check_testable(bound.release)
    plan = query_plan(bound.release, departures)
    bound.check_questions(plan.queries)
    if not any(slot.family.uses_reference for slot in bound.slots):
        reference = None
    refuse_same(keyring, "reference", reference, suspect, "Give the model that the suspect was made from, or none.")
    trial = PictureTrial(bound, plan, reference)
    return run_trial(
        trial,
        suspect.for_questions(trial.asked),
        keyring,
        cache,
        releases=releases,
        control=control,
        anew=anew,
        at_least=at_least,
        progress=progress,
    )


def run_trial(
    trial: Trial[S],
    suspect: S,
    keyring: Keyring,
    cache: Path,
    *,
    releases: Sequence[Release] = (),
    control: S | None = None,
    anew: bool = False,
    at_least: float = 0.0,
    progress: Progress = no_progress,
) -> Verdict:
    """Test one release against one suspect of any kind (see `detect`).

    Raises:
        InputError: if the control is the suspect itself.
        ReleaseError: if the release's coin is not the value of the round that its commitment names.
    """
    release = trial.bound.release
    coin = coin_state(keyring, release)
    recognise(keyring, suspect)
    refuse_same(keyring, "control", control, suspect, "Give a model that cannot have seen the release.")
    together = releases or [release]
    found = examine(trial, suspect, keyring, cache, progress, releases=together, anew=anew, at_least=at_least)
    threshold = found.place.look.threshold(release.plan.alpha)
    control_e = found.place.control_e_value or None
    if control is not None and found.results and found.peak >= threshold:
        control_e = max(found.place.control_e_value, _shown(trial, control, found, keyring, cache, progress))
    said = flags(release, found.place, coin.flags, control=control is not None, reference=trial.reference is not None)
    return _verdict(trial, suspect, keyring, found, control_e, said + answer_flags(found), coin.sentence)


def _verdict(
    trial: Trial[S],
    suspect: S,
    keyring: Keyring,
    found: Examined,
    control_e: float | None,
    said: tuple[str, ...],
    coin: str,
) -> Verdict:
    release, reference = trial.bound.release, trial.reference
    threshold = found.place.look.threshold(release.plan.alpha)
    outcome, reason = outcome_of(trial, found, threshold, control_e)
    return Verdict(
        outcome=outcome,
        reason=reason,
        kind=found.transcript.kind,
        release=release,
        suspect=suspect.name,
        identity=dict(suspect.identity),
        alpha=release.plan.alpha / 2**found.place.further_plans,
        threshold=threshold,
        e_value=found.peak,
        p_value=overall_p_value(found.running),
        running=tuple(float(e) for e in found.running),
        queries=len(set(found.transcript.questions)),
        slots=tuple(found.results),
        tally=tally(found.transcript),
        control_e_value=control_e,
        reference=dict(reference.identity) | {"name": reference.name} if reference else None,
        flags=said,
        suspects_tested=found.place.suspects_tested,
        looks=look_lines(release, found.place),
        commitments=commitments_held(keyring),
        commitments_before=commitments_before(keyring, release),
        coin=coin,
        plan=trial.plan,
        transcript=found.transcript.digest if found.results else "",
        held=found.transcript if found.results else None,
        versions=versions(),
        set_aside=trial.set_aside,
    )


def _shown(trial: Trial[S], control: S, found: Examined, keyring: Keyring, cache: Path, progress: Progress) -> float:
    """What a control shows under the same questions: its largest E, 0 if it did not answer; asked once."""
    look, slots = found.place.look, len(found.results)
    subject = recognise(keyring, control)
    with opened(keyring) as ledger:
        known = ledger.control(look.release, look.plan, subject)
    if known is not None and known.slots >= slots:
        return known.e_value
    tried = ask_control(trial, control, slots, cache, progress)
    found.trouble = found.trouble or tried.trouble
    register_control(keyring, trial.bound.release, control, look.plan, tried.e_value, tried.slots)
    return tried.e_value


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


def flags(
    release: Release,
    place: Place | None,
    coin: Sequence[str],
    *,
    control: bool = False,
    reference: bool = False,
) -> tuple[str, ...]:
    """What a reader of a verdict must know of the release and the test.

    Args:
        release: the release under test.
        place: of the test in the ledger; None if it was not entered.
        coin: what must be said of its public coin (`protect.keys.stamps.coin_state`).
        control: whether a control was given.
        reference: whether a reference's answers were taken off.
    """
    found = [*coin]
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
