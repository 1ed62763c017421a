"""`detect trace`, `detect certify`: ask a release's questions once, and hold every recipient's marks against them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detect.suspects.images.suspect import Query, Suspect
from detect.trace.ask import SlotAnswers, slot_answers
from detect.trace.evidence import Suspicion, shown
from detect.trace.slots import best_e_value, bets_of, decoys_of, said_of
from detect.trace.tracing import Outcome, Tracing, source_of
from detect.trial.answers import digest
from detect.trial.judge import check_testable, flags, versions
from detect.trial.ledger import (
    commitments_held,
    register,
    register_control,
    setting_of,
    subject_of,
    withdraw,
)
from detect.trial.looks import Place
from detect.trial.questions import AS_COMMITTED, Departures, QueryPlan, query_plan
from protect.errors import InputError, TracemarkError
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
    progress: Progress = no_progress,
) -> Tracing:
    """Whose copy did a model learn from? With one recipient alone under test: is it that one's?

    It is entered in the ledger as a test of the release. Other recipients under test are another plan: so are those
    issued meanwhile, and `detect run` before. The i-th further plan for one release and suspect has level
    alpha · 2^-i, so that all of them together accuse an innocent with probability at most twice alpha.

    Args:
        bound: the release with its families and ids.
        suspect: the model under test.
        keyring: holds the ledger.
        cache: folder for the suspect's outputs.
        serials: of the recipients under test: all that were ever issued, from 1, or one that was named beforehand.
        control: a model that cannot have seen any copy; if it shows copies, too, nothing is said of the suspect.
        reference: a model such as the suspect was made from, best a LoRA's base (see `detect.trial.judge.detect`).
        departures: changes to the committed plan.
        progress: called with (stage, done, total).

    Returns:
        The answer; a repeat resumes from the cache and answers the same.

    Raises:
        InputError: if the release may not be tested, there are no recipients, or the control is the suspect itself.
    """
    check_traceable(bound, serials)
    plan = query_plan(bound.release, departures)
    bound.check_questions(plan.queries)
    if not any(slot.family.uses_reference for slot in bound.slots):
        reference = None
    for role, other in (("control", control), ("reference", reference)):
        if other is not None and subject_of(other) == subject_of(suspect):
            raise InputError(f"the {role} {other.name} has the suspect's own weights", "Give another model, or none.")
    case = _Case(bound, suspect, serials, plan, reference, cache, progress)
    place = register(keyring, [bound.release], bound.release, suspect, case.name)
    heard = case.hear(suspect)
    if heard.trouble and place.new and not heard.queries:
        withdraw(keyring, bound.release, suspect, case.name)
    control_e = place.control_e_value
    if control is not None and heard.suspicion.some >= np.log(place.share / case.alpha(place)):
        tried = case.hear(control)
        heard.trouble = heard.trouble or tried.trouble
        control_e = max(control_e, shown(tried.suspicion.some))
        register_control(keyring, bound.release, control, case.name, control_e)
    coin = coin_state(keyring, bound.release).flags
    return case.answer(place, heard, control, control_e, coin, commitments_held(keyring))


def check_traceable(bound: BoundRelease, serials: range) -> None:
    """Refuse releases and recipients that cannot be traced.

    Raises:
        InputError: if the release may not be tested, is for classifiers, or there are no recipients or too many.
    """
    check_testable(bound.release)
    if bound.for_classifiers:
        raise InputError(f"release {bound.release.name} is for classifiers", "Only text-to-image models are traced.")
    if not 1 <= len(serials) <= MOST_RECIPIENTS or serials.start < 1 or serials.step != 1:
        last = serials.start + len(serials) - 1
        raise InputError(
            f"recipients {serials.start} to {last} cannot be tested",
            f"They are numbered from 1, and at most {MOST_RECIPIENTS:,} are tested together.",
        )


@dataclass(slots=True)
class _Heard:
    """What the answers of one model say of all recipients."""

    suspicion: Suspicion
    hashes: list[tuple[str, ...]] = field(default_factory=list)
    queries: set[Query] = field(default_factory=set)
    silent: list[int] = field(default_factory=list)
    blank: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    """One release against one suspect: which recipients are under test, and how models are asked."""

    bound: BoundRelease
    suspect: Suspect
    serials: range
    plan: QueryPlan
    reference: Suspect | None
    cache: Path
    progress: Progress

    @property
    def name(self) -> str:
        """Name of the plan: of the questions, of the setting, and of who is under test."""
        setting = setting_of(self.suspect)
        if self.reference is not None:
            setting = setting | {"reference": digest(self.reference.identity)}
        asked = self.plan.digest(self.bound.release, setting)
        decoys = [decoys_of(slot) for slot in self.bound.slots]
        return digest(["trace", asked, self.serials.start, self.serials.stop, decoys])

    def alpha(self, place: Place) -> float:
        """Level of this plan."""
        return float(self.bound.release.plan.alpha / 2**place.further_plans)

    def hear(self, model: Suspect) -> _Heard:
        """Ask a model all questions, as far as it answers, and hold all recipients' marks against its answers."""
        reference, heard = self.reference, _Heard(Suspicion(len(self.serials), bets_of(self.bound.slots[0])))
        if reference is not None and subject_of(reference) == subject_of(model):
            reference = None  # taken off itself, nothing would be left to see
        try:
            for asked in slot_answers(self.bound, model, self.plan, self.cache, self.progress, reference):
                self._take_in(asked, heard)
        except TracemarkError as error:
            heard.trouble = error.what
        return heard

    def _take_in(self, asked: SlotAnswers, heard: _Heard) -> None:
        number = asked.slot.number
        log_e_values = said_of(asked.slot, asked.answers, self.bound.release, self.serials)
        heard.suspicion.add(log_e_values)
        if log_e_values is None:
            heard.silent.append(number)
        heard.hashes.append(asked.output_sha256)
        heard.queries.update(asked.queries)
        heard.blank += asked.blank
        self.progress(f"marks of {len(self.serials):,} recipients", number + 1, len(self.bound.slots))

    def answer(
        self,
        place: Place,
        heard: _Heard,
        control: Suspect | None,
        control_e: float,
        coin: tuple[str, ...],
        commitments: int,
    ) -> Tracing:
        """What is said of the suspect."""
        release, recipients, alpha = self.bound.release, len(self.serials), self.alpha(place)
        threshold, peaks = place.share * recipients / alpha, heard.suspicion.peaks
        named = np.flatnonzero(peaks >= np.log(threshold)).tolist()
        outcome, reason = self._outcome(heard, threshold, len(named), control_e)
        sources = [source_of(self.serials[number], float(peaks[number]), recipients) for number in named]
        reference = self.reference
        return Tracing(
            outcome=outcome,
            reason=reason,
            release=release,
            suspect=self.suspect.name,
            identity=dict(self.suspect.identity),
            serials=self.serials,
            alpha=alpha,
            threshold=threshold,
            sources=() if outcome == "inconclusive" else tuple(sources),
            some=shown(heard.suspicion.some),
            silent=tuple(heard.silent),
            queries=len(heard.queries),
            decoys=min(map(decoys_of, self.bound.slots)),
            control_e_value=control_e or None,
            reference=dict(reference.identity) | {"name": reference.name} if reference else None,
            flags=flags(release, place, coin, control=control is not None, reference=reference is not None),
            suspects_tested=place.suspects_tested,
            plans_tried=place.plans_tried,
            commitments=commitments,
            plan=self.plan,
            output_sha256=tuple(heard.hashes),
            versions=versions(),
        )

    def _outcome(self, heard: _Heard, threshold: float, named: int, control_e: float) -> tuple[Outcome, str]:
        """The outcome, and why it is inconclusive."""
        some = threshold / len(self.serials)
        if control_e >= some:
            return "inconclusive", "unlucky key: the control, which cannot have seen any copy, shows copies too"
        if heard.trouble:
            return "inconclusive", heard.trouble
        if named:
            return ("named", "") if named == 1 else ("at least two sources", "")
        if heard.suspicion.some >= np.log(some):
            return "some copy", ""
        if heard.blank:
            return "inconclusive", f"{heard.blank} answers are all black or of one colour"
        if np.prod([best_e_value(slot, self.bound.release) for slot in self.bound.slots], dtype=float) < threshold:
            return "inconclusive", f"evidence of {threshold:g} is out of reach of this release's slots and decoys"
        return "nobody", ""
