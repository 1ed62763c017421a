"""One look at a model: ask slot by slot, fix the answers, then hold every recipient's marks against them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from detect.suspects.images.suspect import Suspect
from detect.trace.evidence import Suspicion, shown
from detect.trace.slots import decoys_of, log_e_values_of, strengths_of
from detect.trial.answers import digest
from detect.trial.ledger import keep_transcript, opened
from detect.trial.looks import Place
from detect.trial.picture_trial import PictureTrial
from detect.trial.score import slot_answers
from detect.trial.transcript import BLANKED, REFUSED, Transcript
from protect.clock import now
from protect.errors import TracemarkError
from protect.evidence import SlotEvidence
from protect.keys.keyring import Keyring
from protect.progress import Progress


@dataclass(frozen=True)
class TraceTrial(PictureTrial):
    """A release's questions, and the recipients whose marks are looked for in the answers."""

    serials: range = range(0)

    def name(self, suspect: Suspect) -> str:
        """Name of the plan: other recipients under test are another."""
        decoys = [decoys_of(slot) for slot in self.bound.slots]
        return digest(["trace", super().name(suspect), self.serials.start, self.serials.stop, decoys])


@dataclass(slots=True)
class Heard:
    """What the answers of one model say of all recipients, slot by slot."""

    transcript: Transcript
    suspicion: Suspicion
    weighed: int = 0
    """Slots whose answers were held against marks."""
    silent: list[int] = field(default_factory=list)
    """Slots whose answers say nothing of anybody."""
    trouble: str = ""
    """Why asking stopped."""

    @property
    def flags(self) -> list[str]:
        """What answers say of themselves."""
        return sorted({name for answer in self.transcript.answers for name in answer.flags})

    @property
    def missing(self) -> int:
        """Answers that were refused or are of one colour, those of a reference among them."""
        compared = self.transcript.reference.answers if self.transcript.reference else ()
        answers = (*self.transcript.answers, *compared)
        return sum(bool({REFUSED, BLANKED}.intersection(answer.flags)) for answer in answers)


@dataclass(frozen=True, slots=True)
class Looking:
    """A trial with all that asking needs."""

    trial: TraceTrial
    keyring: Keyring
    cache: Path
    progress: Progress

    def look(self, suspect: Suspect, place: Place) -> tuple[Heard, Place]:
        """Ask the suspect; a slot's answers are fixed in the ledger before any mark is held against them.

        Answers that were fixed before, and are gone, make a further look.
        """
        look, heard = place.look, self._nothing(suspect, self.trial)
        cache = self.cache / f"anew-{look.asked_anew}" if look.asked_anew else self.cache
        try:
            for slot in range(len(self.trial.bound.slots)):
                heard.transcript = self.trial.ask(suspect, heard.transcript, slot, cache, self.progress)
                with opened(self.keyring) as ledger:
                    look = ledger.fix(ledger.find(look.key), slot, heard.transcript.slot_digest(slot), now())
                gain = self._weigh(self.trial, heard, slot)
                with opened(self.keyring) as ledger:
                    look = ledger.find(look.key)
                    ledger.record(look, slot, gain)
        except TracemarkError as error:
            heard.trouble = error.what
        with opened(self.keyring) as ledger:
            look = ledger.find(look.key)
            if look.slots:
                look.transcript = keep_transcript(self.keyring, heard.transcript)
            elif place.new and not self.trial.any_answer(suspect, cache):
                ledger.looks.remove(look)  # it gave not a single answer: there was nothing to look at
            return heard, ledger.place(look, place.new)

    def ask_control(self, control: Suspect) -> Heard:
        """Put all questions to a control; nothing of it is entered in the ledger here."""
        trial = self.trial.for_control(control)
        heard = self._nothing(control, trial)
        try:
            for slot in range(len(trial.bound.slots)):
                heard.transcript = trial.ask(control, heard.transcript, slot, self.cache, self.progress)
                self._weigh(trial, heard, slot)
        except TracemarkError as error:
            heard.trouble = error.what
        return heard

    def _nothing(self, model: Suspect, trial: PictureTrial) -> Heard:
        strengths = strengths_of(self.trial.bound.slots[0])
        return Heard(trial.opened(model), Suspicion(len(self.trial.serials), strengths))

    def _weigh(self, trial: PictureTrial, heard: Heard, number: int) -> SlotEvidence:
        """Hold all recipients' marks against a slot's answers; what it adds to the evidence that some copy was used."""
        slot, part = trial.bound.slots[number], heard.transcript.part(number)
        assert part is not None
        answers, before = slot_answers(slot, heard.transcript, part), heard.suspicion.mean
        log_e_values = log_e_values_of(slot, answers, trial.bound.release, self.trial.serials)
        heard.suspicion.add(log_e_values)
        heard.weighed += 1
        if log_e_values is None:
            heard.silent.append(number)
        self.progress(f"marks of {len(self.trial.serials):,} recipients", number + 1, len(trial.bound.slots))
        gain = shown(heard.suspicion.mean - before)
        return SlotEvidence(min(1.0, 1 / gain) if gain else 1.0, gain, (gain,))
