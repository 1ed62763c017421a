"""What an alignment is: which samples carry which slot's mark, and how its trigger meets their captions."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.formats.record import Record, SetAside, normalised
from protect.keys.tree import KeyTree, SlotKey
from protect.marks.family import MarkFamily
from protect.release.record import Questions

CARRIERS_PER_SLOT = 40
"""Enough for some 400 sightings in ten passes over the dataset (docs/decisions/0004)."""
MAX_SLOTS = 8
_SPARE, _MARGIN = 1.5, 32
"""Candidates that are held ready for each carrier wanted, and besides: some cannot carry a mark."""
_MOST_HELD = 50_000
"""However many are no use, no more candidates are held, unless more carriers are wanted."""


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
    fitting = (record for record in request.records() if fits(record))
    drawn = heapq.nsmallest(
        request.queries, fitting, key=lambda record: (key.integer("question", normalised(record.key)), record.key)
    )
    if not drawn:
        raise InputError("no caption fits what is to be asked", "Use another --alignment.")
    return [record.caption for record in drawn]


def choose(
    candidates: Callable[[], Iterator[Record]],
    wanted: int,
    request: Request,
    refusal: Callable[[Record], str | None] = lambda _: None,
) -> tuple[list[Record], list[SetAside]]:
    """The `wanted` usable candidates with the smallest pseudo-random ranks, smallest first; and those passed over.

    Holds a few more than `wanted` in memory, and goes over the candidates again, for the next ones, if too many of them
    are no use. No picture is looked at twice.

    Args:
        candidates: gives them from the first at each call.
        wanted: how many; fewer are given if there are no more.
        request: ranks and obstacles.
        refusal: a reason that needs no look at the picture.
    """
    carriers: list[Record] = []
    passed: list[SetAside] = []
    held, last = int(_SPARE * wanted) + _MARGIN, (-1, "")
    while len(carriers) < wanted:
        ranked = ((request.keys.carrier_rank(normalised(r.key)), r.key, r) for r in candidates())
        nearest = heapq.nsmallest(held, (row for row in ranked if row[:2] > last), key=lambda row: row[:2])
        more, aside = _usable([row[2] for row in nearest], wanted - len(carriers), request, refusal)
        carriers += more
        passed += aside
        if len(nearest) < held:
            break
        held, last = max(held, min(4 * held, _MOST_HELD)), nearest[-1][:2]
    return carriers, passed


def _usable(
    ranked: Sequence[Record], wanted: int, request: Request, refusal: Callable[[Record], str | None]
) -> tuple[list[Record], list[SetAside]]:
    carriers: list[Record] = []
    passed: list[SetAside] = []
    place = 0
    while len(carriers) < wanted and place < len(ranked):
        batch = ranked[place : place + wanted - len(carriers)]
        place += len(batch)
        refused = [refusal(record) for record in batch]
        looked = iter(request.obstacles([r for r, reason in zip(batch, refused, strict=True) if reason is None]))
        for record, reason in zip(batch, refused, strict=True):
            reason = reason or next(looked)
            if reason is None:
                carriers.append(record)
            else:
                passed.append(SetAside(record.key, reason))
    return carriers, passed


def count_slots(carriers: int, request: Request, passed: Sequence[SetAside] = ()) -> int:
    """K = clamp(carriers // 40, 1, 8) unless given.

    Raises:
        InputError: if a slot would get no carrier; says the smallest rate.
    """
    slots = request.slots or min(max(carriers // CARRIERS_PER_SLOT, 1), MAX_SLOTS)
    if carriers < slots:
        if not request.count:
            raise InputError(
                "the dataset has no picture with a caption", "See README, “Your dataset”, for how captions are kept."
            )
        if passed:
            raise InputError(
                f"{carriers} of the {carriers + len(passed)} pictures drawn at --rate {request.rate:g} can carry a "
                f"mark, fewer than {slots} slot(s); {passed[0].key}: {passed[0].reason}",
                "Use another --family or other pictures" + (", or a higher --rate." if request.rate < 1 else "."),
            )
        smallest = min(1.0, -(-slots * 10**6 // request.count) / 10**6)
        raise InputError(
            f"--rate {request.rate:g} gives {carriers} carrier(s) among {request.count} samples, "
            f"fewer than {slots} slot(s)",
            f"Use --rate {smallest:g}"
            + (" or more" if smallest < 1 else "")
            + (", or fewer --slots." if slots > 1 else "."),
        )
    return slots


def deal(
    triggers: Callable[[int], Sequence[str]],
    request: Request,
    refusal: Callable[[Record], str | None] = lambda _: None,
) -> Drawn:
    """Carriers from all samples, dealt to as many slots as they fill.

    Round-robin by key, or, for families that choose, to each slot in turn those left that lean most towards its mark.

    Args:
        triggers: draws the triggers of a number of slots.
        request: samples, rate and keys.
        refusal: a reason against a sample that needs no look at its picture.
    """
    if request.leanings is not None:
        return _deal_leaning(triggers, request, request.leanings, refusal)
    carriers, passed = choose(request.records, request.allowed, request, refusal)
    slots = count_slots(len(carriers), request, passed)
    draws = (Draw(trigger, tuple(carriers[k::slots])) for k, trigger in enumerate(triggers(slots)))
    return Drawn(tuple(draws), tuple(passed))


def _deal_leaning(
    triggers: Callable[[int], Sequence[str]],
    request: Request,
    leanings: Callable[[int], NDArray[np.float64]],
    refusal: Callable[[Record], str | None],
) -> Drawn:
    slots = count_slots(request.allowed, request)
    share, taken, draws = request.allowed // slots, set[str](), list[Draw]()
    for number, trigger in enumerate(triggers(slots)):
        leaning = zip(leanings(number).tolist(), request.records(), strict=True)
        free = ((lean, r) for lean, r in leaning if lean == lean and r.key not in taken and not refusal(r))
        nearest = heapq.nsmallest(share, free, key=lambda row: (-row[0], row[1].key))
        if not nearest:
            raise InputError("no picture can be chosen as a carrier", "Mend the pictures, or use another --family.")
        draws.append(Draw(trigger, tuple(record for _, record in nearest)))
        taken |= {record.key for _, record in nearest}
    return Drawn(tuple(draws), ())
