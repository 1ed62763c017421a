"""The trial itself, for every kind of suspect: ask a slot, fix the answers, score them, enter the evidence; go on.

What the ledger holds of a slot is final. Where the answers are still at hand they are shown again, where they are gone
the ledger answers; they are never drawn again for a slot that was scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic

from detect.trial.answers import digest
from detect.trial.ledger import (
    forget_transcript,
    keep_transcript,
    kept_transcript,
    opened,
    register,
    subject_of,
)
from detect.trial.looks import Look, Place
from detect.trial.result import SlotResult, ledgered
from detect.trial.score import score_slot
from detect.trial.transcript import Transcript
from detect.trial.trial import S, Trial
from protect.clock import now
from protect.errors import TracemarkError
from protect.evidence import Array, SlotEvidence, running_evidence
from protect.files import lock_file
from protect.keys.keyring import LOCKS, Keyring
from protect.progress import Progress
from protect.release.record import Release


@dataclass(slots=True)
class Examined:
    """One suspect's slots so far, and why asking stopped."""

    place: Place
    transcript: Transcript
    results: list[SlotResult] = field(default_factory=list)
    trouble: str = ""

    @property
    def running(self) -> Array:
        """E after each slot."""
        return running_evidence([result.evidence for result in self.results])

    @property
    def peak(self) -> float:
        """The largest E so far; 1 before the first slot."""
        return float(self.running.max()) if self.results else 1.0


def examine(
    trial: Trial[S],
    suspect: S,
    keyring: Keyring,
    cache: Path,
    progress: Progress,
    *,
    releases: Sequence[Release],
    anew: bool = False,
    at_least: float = 0.0,
) -> Examined:
    """Ask a suspect slot by slot until the evidence suffices, or the suspect or a family fails.

    Args:
        trial: what is asked.
        suspect: the model under test.
        keyring: holds the ledger.
        cache: folder for answers of all suspects.
        progress: called with (stage, done, total).
        releases: all releases under test on this suspect now.
        anew: have all questions answered once more. Other answers than before are a further look at half the level; if
            they are the same, nothing was looked at.
        at_least: go on until E is so large, even where less suffices for a verdict.

    Returns:
        The slots; a repeat says the same, whether or not the answers are still in the cache.
    """
    release, plan = trial.bound.release, trial.name(suspect)
    with _alone(keyring, [release.id, subject_of(suspect), plan], progress):
        place = register(keyring, releases, release, suspect, plan, departs=trial.departs, anew=anew)
        found = Examined(place, trial.opened(suspect))
        course = _Course(trial, suspect, keyring, place.look, cache, progress, at_least)
        course.run(found)
        with opened(keyring) as ledger:
            look = ledger.find(course.look.key)
            if place.new and not look.slots and not trial.any_answer(suspect, course.folder):
                ledger.looks.remove(look)  # it gave not a single answer: there was nothing to look at
            elif (same := ledger.same_answers(look)) and same.finished(release.plan.slots, release.plan.alpha):
                ledger.looks.remove(look)  # asked anew, and the same answers: nothing else was looked at
                look = same
            found.place = ledger.place(look, place.new)
        return found


@dataclass(frozen=True, slots=True)
class ControlAsked:
    """What a control showed."""

    e_value: float
    """The largest E; 0 if it did not answer."""
    slots: int
    """Answered."""
    trouble: str
    """Why asking stopped early; empty otherwise."""


def ask_control(trial: Trial[S], control: S, slots: int, cache: Path, progress: Progress) -> ControlAsked:
    """Put the first slots' questions to a control; nothing of it is entered in the ledger here."""
    trial = trial.for_control(control)
    transcript, found, trouble = trial.opened(control), list[SlotEvidence](), ""
    try:
        for slot in range(slots):
            transcript = trial.ask(control, transcript, slot, cache, progress)
            found.append(score_slot(trial.bound, transcript, slot).evidence)
    except TracemarkError as error:
        trouble = error.what
    return ControlAsked(float(running_evidence(found).max(initial=0.0)), len(found), trouble)


@dataclass(slots=True)
class _Course(Generic[S]):
    """One look under way."""

    trial: Trial[S]
    suspect: S
    keyring: Keyring
    look: Look
    cache: Path
    progress: Progress
    at_least: float

    def run(self, found: Examined) -> None:
        """Ask and score until the evidence suffices, or the suspect or a family fails."""
        release = self.trial.bound.release
        try:
            for slot in range(len(self.trial.bound.slots)):
                known = self.look.slots[slot] if slot < len(self.look.slots) else None
                evidence = known.evidence if known else None
                if known is not None and evidence is not None:
                    result = self._again(found, slot, known.answers, evidence)
                else:
                    result = self._ask(found, slot)
                found.results.append(result)
                if found.running[-1] >= max(self.look.threshold(release.plan.alpha), self.at_least):
                    break
        except TracemarkError as error:  # one release's trouble must not end the tests of the others
            found.trouble = error.what

    def _ask(self, found: Examined, slot: int) -> SlotResult:
        """A slot that is scored now: its answers are fixed first."""
        found.transcript = self.trial.ask(self.suspect, found.transcript, slot, self.folder, self.progress)
        with opened(self.keyring) as ledger:
            look = ledger.fix(ledger.find(self.look.key), slot, found.transcript.slot_digest(slot), now())
            replaced, look.transcript = look.transcript, keep_transcript(self.keyring, found.transcript)
            still_named = any(other.transcript == replaced for other in ledger.looks)  # looks may share their beginning
            self.look = look
        if not still_named:
            forget_transcript(self.keyring, replaced)
        result = score_slot(self.trial.bound, found.transcript, slot)
        with opened(self.keyring) as ledger:
            self.look = ledger.find(self.look.key)
            ledger.record(self.look, slot, result.evidence)
        return result

    def _again(self, found: Examined, slot: int, answers: str, evidence: SlotEvidence) -> SlotResult:
        """A slot that was scored before: shown again if its answers are at hand, else as the ledger has it."""
        if self.trial.kept(self.suspect, found.transcript, slot, self.folder):
            asked = self.trial.ask(self.suspect, found.transcript, slot, self.folder, self.progress)
            if asked.slot_digest(slot) == answers:
                found.transcript = asked
                return replace(score_slot(self.trial.bound, asked, slot), evidence=evidence)
        before = kept_transcript(self.keyring, self.look.transcript)
        found.transcript = found.transcript.grafted(before, slot)
        return ledgered(self.trial.bound, found.transcript, slot, evidence)

    @property
    def folder(self) -> Path:
        """Answers that were asked for anew lie in a cache of their own."""
        return self.cache / f"anew-{self.look.asked_anew}" if self.look.asked_anew else self.cache


@contextmanager
def _alone(keyring: Keyring, test: list[str], progress: Progress) -> Iterator[None]:
    """One run at a time at the same test: two would draw answers twice."""
    path = keyring.folder(LOCKS) / f"test-{digest(test)}.lock"
    with path.open("w") as lock:
        if not lock_file(lock.fileno(), wait=False):
            progress("waiting for another run of this test", 0, 1)
            lock_file(lock.fileno(), wait=True)
        yield
