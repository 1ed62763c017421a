"""What is published before a release: the root of a hash tree over the committed bytes and the slots' seeds.

The tree is that of RFC 6962: leaf 0 is the header (plan, coin to come, date), leaf k + 1 the seed of slot k. The root
tells nothing, because the seeds are 256 random bits each. Whoever is shown the header and one seed checks them against
the root with a few hashes and learns nothing about the other slots.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from protect.errors import ReleaseError
from protect.keys.tree import slot_seed


def _leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return int(1 << (count - 1).bit_length() - 1)


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Root of a hash tree (RFC 6962, section 2.1); 32 bytes.

    Args:
        leaves: content of the leaves, at least one.
    """
    if len(leaves) == 1:
        return _leaf(leaves[0])
    cut = _split(len(leaves))
    return _node(tree_root(leaves[:cut]), tree_root(leaves[cut:]))


def tree_path(leaves: Sequence[bytes], place: int) -> tuple[bytes, ...]:
    """The hashes that lead from a leaf to the root, nearest first (RFC 6962, section 2.1.1)."""
    if len(leaves) == 1:
        return ()
    cut = _split(len(leaves))
    if place < cut:
        return (*tree_path(leaves[:cut], place), tree_root(leaves[cut:]))
    return (*tree_path(leaves[cut:], place - cut), tree_root(leaves[:cut]))


def root_from_path(leaf: bytes, place: int, count: int, path: Sequence[bytes]) -> bytes:
    """The root that a leaf and its path lead to.

    Args:
        leaf: content of the leaf.
        place: its place, from 0.
        count: leaves of the tree.
        path: as `tree_path` gives it.

    Raises:
        ReleaseError: if the path has not the length that such a tree needs.
    """
    if not 0 <= place < count:
        raise ReleaseError(f"leaf {place} of {count} does not exist", "Ask for the proof again.")
    if count == 1:
        if path:
            raise ReleaseError("the proof is too long for its tree", "Ask for the proof again.")
        return _leaf(leaf)
    if not path:
        raise ReleaseError("the proof is too short for its tree", "Ask for the proof again.")
    cut = _split(count)
    if place < cut:
        return _node(root_from_path(leaf, place, cut, path[:-1]), path[-1])
    return _node(path[-1], root_from_path(leaf, place - cut, count - cut, path[:-1]))


def commitment_leaves(header: bytes, secret: bytes, slots: int) -> list[bytes]:
    """Leaves of the commitment: the header as it is, then the slots' seeds."""
    return [header, *(slot_seed(secret, slot) for slot in range(slots))]


def commitment(header: bytes, secret: bytes, slots: int) -> str:
    """The digest that is published before a release, 64 hex digits."""
    return tree_root(commitment_leaves(header, secret, slots)).hex()


@dataclass(frozen=True, slots=True)
class Opening:
    """One slot shown to a third party: the header, the slot's seed, and the way of both to the commitment.

    The header says how many slots there are, so no seed passes for another slot's.
    """

    header: bytes
    header_path: tuple[bytes, ...]
    slot: int
    seed: bytes
    seed_path: tuple[bytes, ...]
    slots: int

    def matches(self, commitment: str) -> bool:
        """Whether header and seed belong to a published commitment."""
        count = self.slots + 1
        try:
            planned = json.loads(self.header)["plan"]["slots"]
            roots = {
                root_from_path(self.header, 0, count, self.header_path).hex(),
                root_from_path(self.seed, self.slot + 1, count, self.seed_path).hex(),
            }
        except (ReleaseError, ValueError, KeyError, TypeError):
            return False
        return planned == self.slots and roots == {commitment}


def open_slot(header: bytes, secret: bytes, slots: int, slot: int) -> Opening:
    """Show one slot. Whoever has seen it can plant and find that slot's mark: the slot is spent, the others are not."""
    leaves = commitment_leaves(header, secret, slots)
    return Opening(header, tree_path(leaves, 0), slot, leaves[slot + 1], tree_path(leaves, slot + 1), slots)
