"""What an alignment is: which samples carry which slot's mark, and how its trigger meets their captions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from protect.errors import InputError
from protect.formats.dataset_format import Sample, SetAside
from protect.keys.tree import prf_int
from protect.marks.family import MarkFamily

CARRIERS_PER_SLOT = 40
"""Enough for some 400 sightings in ten passes over the dataset (docs/decisions/0004)."""
MAX_SLOTS = 8


@dataclass(frozen=True, slots=True)
class Draw:
    """One slot: its trigger and its carriers."""

    trigger: str
    """What calls the mark up; empty for none."""
    carriers: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What draws depend on: public data and the key, never a mark."""

    samples: tuple[Sample, ...]
    """All captioned samples."""
    rate: float
    """Ceiling for the share of carriers, over all slots."""
    slots: int | None
    secret: bytes
    obstacle: Callable[[str], str | None]
    """Why a sample's picture cannot carry a mark, or None; asked only of candidates."""
    descriptions: tuple[str, ...] = ()
    """Phrases by which the family's marks can be described."""

    @property
    def allowed(self) -> int:
        """Most carriers: ⌊rate · n⌋."""
        return int(self.rate * len(self.samples) + 1e-9)


class Alignment(ABC):
    """An alignment; one file each."""

    name: str
    summary: str
    """One line for people."""
    version: int = 1
    """Raised whenever draws, captions or questions change; part of the committed plan."""
    for_classifiers: bool = False
    """Whether suspects are image classifiers rather than text-to-image models."""

    @property
    def label(self) -> str:
        """Name and version as a release commits to them."""
        return self.name if self.version == 1 else f"{self.name}/{self.version}"

    @property
    def twinned(self) -> bool:
        """Whether a question can be put without its trigger."""
        return self.twin("", "") is not None

    @abstractmethod
    def draw(self, request: Request) -> tuple[list[Draw], list[SetAside]]:
        """Triggers and carriers of all slots, and the candidates that were passed over.

        Raises:
            InputError: if the captions or the rate leave a slot without a carrier or a trigger.
        """

    @abstractmethod
    def align(self, caption: str, trigger: str) -> str:
        """A carrier's caption as released; questions are put the same way."""

    @abstractmethod
    def twin(self, caption: str, trigger: str) -> str | None:
        """The question without its trigger; None if the alignment has none."""

    def decoys(self, samples: Sequence[Sample], wanted: int) -> int:
        """Decoys per slot."""
        return wanted

    def condition(self, family: MarkFamily, trigger: str) -> MarkFamily:
        """The family from which the mark and all its decoys are drawn, given the trigger's words."""
        return family


def choose(candidates: Iterable[Sample], wanted: int, request: Request) -> tuple[list[Sample], list[SetAside]]:
    """The `wanted` usable candidates with the smallest pseudo-random values, smallest first; those passed over."""
    carriers: list[Sample] = []
    passed: list[SetAside] = []
    for sample in sorted(candidates, key=lambda s: (prf_int(request.secret, "carrier", s.key), s.key)):
        if len(carriers) == wanted:
            break
        reason = request.obstacle(sample.key)
        if reason is None:
            carriers.append(sample)
        else:
            passed.append(SetAside(sample.key, reason))
    return carriers, passed


def count_slots(carriers: int, request: Request, passed: Sequence[SetAside] = ()) -> int:
    """K = clamp(carriers // 40, 1, 8) unless given.

    Raises:
        InputError: if a slot would get no carrier; says the smallest rate.
    """
    slots = request.slots or min(max(carriers // CARRIERS_PER_SLOT, 1), MAX_SLOTS)
    if carriers < slots:
        samples = len(request.samples)
        if not samples:
            raise InputError(
                "the dataset has no picture with a caption", "See README, “Your dataset”, for how captions are kept."
            )
        if passed:
            raise InputError(
                f"{carriers} of the {carriers + len(passed)} pictures drawn at --rate {request.rate:g} can carry a "
                f"mark, fewer than {slots} slot(s); {passed[0].key}: {passed[0].reason}",
                "Use another --family or other pictures" + (", or a higher --rate." if request.rate < 1 else "."),
            )
        smallest = min(1.0, -(-slots * 10**6 // samples) / 10**6)
        raise InputError(
            f"--rate {request.rate:g} gives {carriers} carrier(s) among {samples} samples, fewer than {slots} slot(s)",
            f"Use --rate {smallest:g} or more" + (", or fewer --slots." if slots > 1 else "."),
        )
    return slots


def deal(triggers: Callable[[int], Sequence[str]], request: Request) -> tuple[list[Draw], list[SetAside]]:
    """Carriers from all samples, dealt round-robin to as many slots as they fill.

    Args:
        triggers: draws the triggers of a number of slots.
        request: samples, rate and key.
    """
    carriers, passed = choose(request.samples, request.allowed, request)
    slots = count_slots(len(carriers), request, passed)
    return [Draw(trigger, tuple(carriers[k::slots])) for k, trigger in enumerate(triggers(slots))], passed
