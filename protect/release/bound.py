"""A release bound to the program: its alignment, families, ids and triggers, resolved once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from protect.alignments import committed_alignment
from protect.alignments.alignment import Alignment
from protect.errors import InputError
from protect.keys.store import Store
from protect.keys.tree import Ids, SlotKey
from protect.marks import make_family
from protect.marks.family import MarkFamily
from protect.release.record import Questions, Release


@dataclass(frozen=True)
class BoundSlot:
    """One slot with everything that planting and detection need."""

    number: int
    questions: Questions
    key: SlotKey
    family: MarkFamily
    """The law from which the mark and its decoys are drawn, given the trigger's words."""
    decoy_count: int

    @property
    def trigger(self) -> str:
        """What calls the mark up."""
        return self.questions.trigger

    @property
    def planted(self) -> int:
        """Id of the planted mark."""
        return self.key.planted

    @cached_property
    def decoys(self) -> Ids:
        """Ids of the slot's decoys, shape (decoy_count,)."""
        return self.key.decoys(self.decoy_count)


@dataclass(frozen=True)
class BoundRelease:
    """A release with its alignment and its slots."""

    release: Release
    alignment: Alignment
    slots: tuple[BoundSlot, ...]

    @property
    def family(self) -> MarkFamily:
        """The law of the first slot; all slots share name, version, sizes and questions."""
        return self.slots[0].family


def bind(release: Release, store: Store) -> BoundRelease:
    """Resolve a release whose questions are known.

    Args:
        release: complete, or with its questions at least.
        store: holds the pools and bases that its family needs.

    Raises:
        InputError: if its family or alignment is not installed, or only in another version.
    """
    alignment = committed_alignment(release.plan)
    family = make_family(release.plan.family, release.plan.family_options, store)
    if family.version != release.plan.family_version:
        raise InputError(
            f"release {release.id} was committed to version {release.plan.family_version} of {family.name}; "
            f"this program has version {family.version}",
            "Use the program version that embedded it.",
        )
    slots = []
    for number in range(len(release.questions)):
        questions = release.slot_questions(number)
        law = alignment.condition(family, questions.trigger)
        slots.append(BoundSlot(number, questions, release.keys.slot(number), law, release.plan.decoys))
    return BoundRelease(release, alignment, tuple(slots))
