"""What an alignment is: which samples carry which slot's mark, and how its trigger meets their captions."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.execution.engine import Engine, Threads
from protect.formats.record import Record, SetAside, normalised
from protect.keys.tree import KeyTree, SlotKey
from protect.marks.family import MarkFamily
from protect.release.record import Questions


@dataclass(frozen=True, slots=True)
class Draw:
    """One slot: its trigger and its carriers."""

    trigger: str
    """What calls the mark up; empty for none."""
    carriers: tuple[Record, ...]
    opposite: tuple[Record, ...] = ()
    """Samples that get the other wording, for alignments that choose between two."""
    sayings: int = 0
    """Samples whose captions say one thing or the other, changed or not; 0 where only carriers teach."""

    @property
    def taught(self) -> int:
        """Samples from which the slot can be learned."""
        return self.sayings or len(self.carriers)


@dataclass(frozen=True, slots=True)
class Drawn:
    """All slots of a release, and the candidates that were passed over."""

    slots: tuple[Draw, ...]
    passed: tuple[SetAside, ...]
    decoys: int | None = None
    """Decoys per slot, where the alignment fixes them (classes); None for as many as the plan says."""


@dataclass(frozen=True, slots=True)
class Request:
    """What draws depend on: public data and the key, and never a mark unless the family chooses carriers by it."""

    records: Callable[[], Iterator[Record]]
    """The samples that may be changed; each call starts from the first."""
    count: int
    """How many they are."""
    rate: float
    """Ceiling for the share of carriers, over all slots."""
    slots: int | None
    keys: KeyTree
    obstacles: Callable[[Sequence[Record]], Sequence[str | None]]
    """Why each of these samples' pictures cannot carry a mark, or None; decodes them, several at a time."""
    descriptions: tuple[str, ...] = ()
    """Phrases by which the family's marks can be described."""
    leave: tuple[str, ...] = ()
    """Fields whose captions stay as they are."""
    first: int = 0
    """Slots of earlier parts of the release."""
    queries: int = 32
    """Questions per slot."""
    leanings: Callable[[int], NDArray[np.float64]] | None = None
    """For families that choose: how far each sample leans towards a slot's mark, in the order of `records`, shape
    (count,); not a number where its picture cannot be used. None for families that paint."""
    engine: Engine = field(default_factory=Threads)
    """What goes through many captions."""

    def slot(self, number: int) -> SlotKey:
        """Key of a slot of this part."""
        return self.keys.slot(self.first + number)

    @property
    def allowed(self) -> int:
        """Most carriers: ⌊rate · n⌋."""
        return int(self.rate * self.count + 1e-9)

    def first_captions(self) -> Iterator[str]:
        """Of each sample the caption that most trainers read."""
        return (record.caption for record in self.records())

    def captions(self) -> Iterator[str]:
        """All captions of all samples; what several fields of a sample say alike counts once."""
        for record in self.records():
            yield from dict.fromkeys(record.captions.values())


class Alignment(ABC):
    """An alignment; one file each."""

    name: str
    summary: str
    """One line for people."""
    version: int = 1
    """Raised whenever draws, captions or questions change; part of the committed plan."""
    for_classifiers: bool = False
    """Whether suspects are image classifiers rather than text-to-image models."""
    captions_stay: bool = False
    """Whether no caption changes: only what is painted into pictures can then be learned."""
    chooses: bool = False
    """Whether it works only for families that choose carriers by their marks."""

    @property
    def label(self) -> str:
        """Name and version as a release commits to them."""
        return self.name if self.version == 1 else f"{self.name}/{self.version}"

    @classmethod
    def asks_as_usual(cls) -> bool:
        """Whether questions are captions as people write them; else they hold triggers, which hardly anybody does."""
        return cls.chooses or cls.captions_stay

    @property
    def has_trigger(self) -> bool:
        """Whether a question can be put with and without a trigger."""
        return self.without_trigger("", "") is not None

    @abstractmethod
    def draw(self, request: Request) -> Drawn:
        """Triggers and carriers of all slots.

        Raises:
            InputError: if the captions or the rate leave a slot without a carrier or a trigger.
        """

    @abstractmethod
    def align(self, caption: str, trigger: str) -> str:
        """A carrier's caption as released; questions are put the same way."""

    @abstractmethod
    def without_trigger(self, caption: str, trigger: str) -> str | None:
        """The caption the other way: without the trigger, or in the other wording; None if there is no other way."""

    def ask(self, drawn: Drawn, request: Request) -> tuple[Questions, ...]:
        """What each slot will be asked.

        Questions are made from the captions of a slot's carriers: what was learned together is recalled together. Where
        carriers follow from a mark, all samples' captions are drawn from, by a stream of their own.
        """
        return tuple(self._ask(draw, number, request) for number, draw in enumerate(drawn.slots))

    def _ask(self, draw: Draw, number: int, request: Request) -> Questions:
        key = request.slot(number)
        if request.leanings is None:
            order = key.rng("prompts").permutation(len(draw.carriers))
            captions = [draw.carriers[place].caption for place in order]
        else:
            captions = drawn_captions(key, request)
        asked = [captions[i % len(captions)] for i in range(request.queries)]
        others = [self.without_trigger(caption, draw.trigger) for caption in asked]
        return Questions(
            trigger=draw.trigger,
            prompts=tuple(self.align(caption, draw.trigger) for caption in asked),
            contrasts=tuple(other for other in others if other is not None),
            seeds=question_seeds(key, request.queries),
            taught=draw.taught,
        )

    def is_design_of(self, questions: Questions) -> bool:
        """Whether a slot's design says of its questions what they show: whoever was given both can tell."""
        return not questions.design

    def caption_obstacle(self, caption: str) -> str | None:
        """Why a caption cannot take a trigger, or None. Depends on the caption alone."""
        return None

    def record_obstacle(self, record: Record, leave: Iterable[str] = ()) -> str | None:
        """Why a sample's captions cannot take a trigger, or None; fields that the owner leaves alone do not count."""
        left = set(leave)
        reasons = (self.caption_obstacle(text) for name, text in record.captions.items() if name not in left)
        return next((reason for reason in reasons if reason), None)

    def condition(self, family: MarkFamily, questions: Questions) -> MarkFamily:
        """The family from which the mark and all its decoys are drawn, given the slot's questions."""
        return family

    def for_sample(self, family: MarkFamily, caption: str, trigger: str) -> MarkFamily:
        """The family as it plants in one carrier, given its caption."""
        return family

    def align_all(
        self, captions: Mapping[str, str], trigger: str, leave: Iterable[str] = (), *, opposite: bool = False
    ) -> dict[str, str]:
        """All captions of a carrier as released, but for the fields that the owner leaves alone.

        Args:
            captions: by field.
            trigger: of the slot.
            leave: the fields that stay.
            opposite: whether the captions go the other way (`without_trigger`).
        """
        left = set(leave)

        def changed(text: str) -> str:
            if not opposite:
                return self.align(text, trigger)
            other = self.without_trigger(text, trigger)
            return text if other is None else other

        return {name: text if name in left else changed(text) for name, text in captions.items()}


def question_seeds(key: SlotKey, count: int) -> tuple[int, ...]:
    """Seeds of questions, 32 bits each."""
    return tuple(int(seed) for seed in key.rng("seeds").integers(0, 2**32, count))


def drawn_captions(key: SlotKey, request: Request, fits: Callable[[Record], bool] = lambda _: True) -> list[str]:
    """Captions of questions, drawn from all samples by their keys: blind to marks and carriers.

    Raises:
        InputError: if no sample fits.
    """
    wanted = request.queries
    while True:
        ranked = ((key.integer("question", normalised(record.key)), record.key, record) for record in request.records())
        nearest = heapq.nsmallest(wanted, ranked, key=lambda row: row[:2])
        drawn = [record.caption for _, _, record in nearest if fits(record)][: request.queries]
        if len(drawn) == request.queries or len(nearest) < wanted:
            break
        wanted *= 4
    if not drawn:
        raise InputError("no caption fits what is to be asked", "Use another --alignment.")
    return drawn
