"""What is revealed of a release: its committed header, and of the slots that were asked their seeds and questions.

A seed shows one slot and no other. Whoever has it can plant and find that slot's mark, so a revealed slot is spent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from protect.alignments import committed_alignment
from protect.alignments.alignment import Alignment
from protect.errors import EvidenceError, InputError
from protect.files import canonical_json
from protect.keys.coin_value import parse_coin_value
from protect.keys.commitment import commitment_leaves, root_from_path, tree_path, tree_root
from protect.keys.store import Store
from protect.keys.tree import MASTER, NO_COIN, SlotKey, prf, slot_key
from protect.release.bound import BoundRelease, BoundSlot, committed_family
from protect.release.record import Questions, Release


@dataclass(frozen=True)
class Revealed(Release):
    """A release as a third party sees it: the commitment is what was published, and there is no secret."""

    published: str = ""

    @cached_property
    def commitment(self) -> str:
        """The published digest, 64 hex digits."""
        return self.published


def opening_of(release: Release, slots: Sequence[int]) -> bytes:
    """What must be shown of a release so that these slots can be scored again, as canonical JSON."""
    leaves = commitment_leaves(release.header, release.secret, release.plan.slots)
    return canonical_json(
        {
            "commitment": release.commitment,
            "coin": release.coin,
            "header": release.header.decode(),
            "header_path": [node.hex() for node in tree_path(leaves, 0)],
            "question_leaves": [leaf.hex() for leaf in _question_leaves(release)],
            "slots": [
                {
                    "slot": slot,
                    "seed": leaves[slot + 1].hex(),
                    "path": [node.hex() for node in tree_path(leaves, slot + 1)],
                    "questions": release.questions[slot].decode(),
                }
                for slot in slots
            ],
        }
    )


def _question_leaves(release: Release) -> list[bytes]:
    """Leaves of the tree of questions: each is blinded by its slot's key and tells nothing of it."""
    return [prf(release.keys.slot(k).key, "questions", text.decode()) for k, text in enumerate(release.questions)]


def opened_release(data: bytes, store: Store) -> BoundRelease:
    """The revealed slots of a release, ready to be scored.

    Args:
        data: what `opening_of` wrote.
        store: holds what the families need.

    Raises:
        EvidenceError: if a seed, the header or a question is not what the commitment fixed.
        InputError: if a family or alignment is not installed, or only in another version.
    """
    try:
        row = json.loads(data)
        header, commitment, coin = row["header"].encode(), str(row["commitment"]), str(row["coin"])
        release = Revealed("", b"", header, coin, published=commitment)
        if not _one_spelling(coin):
            raise _wrong("its coin is not spelled in the one way that counts")
        if release.coin_named is None and (coin != NO_COIN or release.questions_committed is None):
            raise _wrong("it holds a coin that the commitment does not name, or questions that nothing fixes")
        plan, count = release.plan, release.plan.slots + 1
        roots = {root_from_path(header, 0, count, _nodes(row["header_path"])).hex()}
        leaves = [bytes.fromhex(leaf) for leaf in row["question_leaves"]]
        keys, questions = [], []
        for place, shown in enumerate(row["slots"]):
            if shown["slot"] != place:
                raise _wrong("slots are not shown in the order in which they were asked")
            seed = bytes.fromhex(shown["seed"])
            roots.add(root_from_path(seed, place + 1, count, _nodes(shown["path"])).hex())
            keys.append(SlotKey(slot_key(seed, coin, MASTER)))
            questions.append(shown["questions"].encode())
            if prf(keys[-1].key, "questions", shown["questions"]) != leaves[place]:
                raise _wrong(f"the questions of slot {place + 1} are not those that its key fixed")
        if roots != {commitment}:
            raise _wrong("header or seeds do not lead to the commitment")
        if len(leaves) != plan.slots or release.questions_committed not in (None, tree_root(leaves).hex()):
            raise _wrong("the questions are not those of the commitment")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _wrong(f"it is damaged ({error})") from None
    shown_release = Revealed("", b"", header, coin, tuple(questions), published=commitment)
    return BoundRelease(shown_release, tuple(_bound_slots(shown_release, keys, store)))


def _one_spelling(coin: str) -> bool:
    try:
        return coin == NO_COIN or coin == parse_coin_value(coin)
    except InputError:
        return False


def questions_digest(data: bytes) -> str:
    """The digest over all questions of an opening, as the published commitment has it."""
    return tree_root([bytes.fromhex(leaf) for leaf in json.loads(data)["question_leaves"]]).hex()


def _bound_slots(release: Release, keys: Sequence[SlotKey], store: Store) -> list[BoundSlot]:
    slots = []
    for number, (key, part) in enumerate(zip(keys, release.plan.part_of_slot, strict=False)):
        alignment, family = committed_alignment(part, store), committed_family(part, store, release.id)
        questions = release.slot_questions(number)
        if not _is_true(alignment, questions):
            raise _wrong(f"the design of slot {number + 1} is not what its questions show")
        law = alignment.condition(family, questions)
        slots.append(BoundSlot(number, questions, key, alignment, law, release.plan.decoys))
    return slots


def _is_true(alignment: Alignment, questions: Questions) -> bool:
    """Whether a design says what the questions show: with a coin nothing else ties it to them."""
    try:
        return alignment.is_design_of(questions)
    except (ValueError, KeyError, IndexError):  # rows or contrasts too few, or words that the alignment does not have
        return False


def _nodes(path: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(node) for node in path)


def _wrong(why: str) -> EvidenceError:
    return EvidenceError(f"what the bundle reveals of the release is wrong: {why}", "Do not rely on this bundle.")
