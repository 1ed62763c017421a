"""A release bound to the program: its alignments, families, ids and triggers, resolved once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from protect.alignments import committed_alignment
from protect.alignments.alignment import Alignment
from protect.errors import InputError
from protect.keys.code import TracingCode
from protect.keys.store import Store
from protect.keys.tree import MASTER, Ids, SlotKey
from protect.marks import make_family
from protect.marks.family import ChoosingFamily, MarkFamily
from protect.release.record import Part, Questions, Release


@dataclass(frozen=True)
class BoundSlot:
    """One slot with everything that planting and detection need."""

    number: int
    questions: Questions
    key: SlotKey
    alignment: Alignment
    family: MarkFamily
    """The law from which the mark and its decoys are drawn, given the slot's questions."""
    decoy_count: int
    mark: int | None = None
    """Id of the mark that a tracing code plants in a recipient's copy; None for the slot key's own."""

    @property
    def trigger(self) -> str:
        """What calls the mark up."""
        return self.questions.trigger

    @property
    def put(self) -> tuple[tuple[str, int], ...]:
        """Every question with its seed, those with the trigger first: for a paired family the contrasts follow."""
        asked = self.questions
        pairs = tuple(zip(asked.prompts, asked.seeds, strict=True))
        return pairs + tuple(zip(asked.contrasts, asked.seeds, strict=False)) * self.family.paired

    @property
    def planted(self) -> int:
        """Id of the planted mark."""
        return self.key.planted if self.mark is None else self.mark

    @cached_property
    def decoys(self) -> Ids:
        """Ids of the slot's decoys, shape (decoy_count,)."""
        return self.key.decoys(self.decoy_count)


@dataclass(frozen=True)
class BoundRelease:
    """A release with its slots."""

    release: Release
    slots: tuple[BoundSlot, ...]

    def check_questions(self, count: int) -> None:
        """Refuse fewer questions than a slot's score needs.

        Args:
            count: most questions that are put, their contrasts not counted.

        Raises:
            InputError: with the smallest number that does.
        """
        for slot in self.slots:
            asked, needed = min(count, len(slot.questions.prompts)), slot.family.fewest_questions
            if asked < needed:
                raise InputError(
                    f"--queries {asked} is too few: {slot.family.name} needs {needed} questions to tell anything",
                    f"Use --queries {needed} or more.",
                )

    @property
    def for_classifiers(self) -> bool:
        """Whether suspects are image classifiers rather than text-to-image models."""
        return self.slots[0].alignment.for_classifiers


def bind(release: Release, store: Store, recipient: str = MASTER) -> BoundRelease:
    """Resolve a release whose questions are known.

    Args:
        release: complete, or with its questions at least.
        store: holds the pools, bases and looks that its families need.
        recipient: whose marks are planted; questions are the same for all. Where pictures are painted, these are the
            bits of a tracing code: a picture's bytes depend on its slot's bit, and not on the recipient.

    Raises:
        InputError: if a family or alignment is not installed, or only in another version.
    """
    slots, keys = [], replace(release.keys, recipient=recipient)
    for number, part in zip(range(len(release.questions)), release.plan.part_of_slot, strict=False):
        alignment, family = committed_alignment(part, store), committed_family(part, store, release.id)
        questions = release.slot_questions(number)
        law = alignment.condition(family, questions)
        mark = _coded(release, number, recipient) if recipient != MASTER and is_coded(family) else None
        slots.append(BoundSlot(number, questions, keys.slot(number), alignment, law, release.plan.decoys, mark))
    return BoundRelease(release, tuple(slots))


def is_coded(family: MarkFamily) -> bool:
    """Whether recipients' copies carry the bits of a tracing code, and no marks drawn for each: where it paints."""
    return not isinstance(family, ChoosingFamily)


def _coded(release: Release, slot: int, recipient: str) -> int:
    code, serial = TracingCode(release.secret, release.coin, release.plan.slots), int(recipient)
    (bit,) = code.bits(slot, range(serial, serial + 1))
    return int(code.marks(slot)[bit])


def committed_family(part: Part, store: Store, release: str) -> MarkFamily:
    """The family that a part of a release was committed to.

    Raises:
        InputError: if it is not installed, or only in another version.
    """
    family = make_family(part.family, part.family_options, store)
    if family.version != part.family_version:
        raise InputError(
            f"release {release} was committed to version {part.family_version} of {family.name}; "
            f"this program has version {family.version}",
            "Use the program version that embedded it.",
        )
    return family
