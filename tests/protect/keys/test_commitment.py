"""The commitment: a hash tree of which one slot can be shown without the others."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protect.errors import ReleaseError
from protect.keys.commitment import commitment, open_slot, root_from_path, tree_path, tree_root
from protect.keys.tree import secret_from_seed, slot_seed

SECRET = secret_from_seed(0, "test")


def _header(slots: int) -> bytes:
    return b'{"plan":{"slots":%d}}' % slots


HEADER = _header(3)


def test_small_trees_are_those_of_rfc_6962() -> None:
    def leaf(data: bytes) -> bytes:
        return hashlib.sha256(b"\x00" + data).digest()

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    a, b, c = leaf(b"a"), leaf(b"b"), leaf(b"c")
    assert tree_root([b"a"]) == a
    assert tree_root([b"a", b"b"]) == node(a, b)
    assert tree_root([b"a", b"b", b"c"]) == node(node(a, b), c)
    assert tree_root([b"a", b"b", b"c", b"a", b"b"]) == node(node(node(a, b), node(c, a)), b)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_every_path_leads_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(leaves) - 1))
    path = tree_path(leaves, place)
    assert root_from_path(leaves[place], place, len(leaves), path) == tree_root(leaves)
    assert root_from_path(leaves[place] + b"x", place, len(leaves), path) != tree_root(leaves)


@given(st.integers(1, 40), st.data())
def test_a_path_of_the_wrong_length_is_refused(count: int, data: st.DataObject) -> None:
    leaves = [bytes([i]) for i in range(count)]
    place = data.draw(st.integers(0, count - 1))
    with pytest.raises(ReleaseError):
        root_from_path(leaves[place], place, count, [*tree_path(leaves, place), b"\x00" * 32])
    with pytest.raises(ReleaseError):
        root_from_path(leaves[place], count, count, [])


@pytest.mark.parametrize("slots", [1, 2, 5, 8])
def test_one_slot_can_be_shown_without_the_others(slots: int) -> None:
    header = _header(slots)
    published = commitment(header, SECRET, slots)
    for slot in range(slots):
        shown = open_slot(header, SECRET, slots, slot)
        assert shown.matches(published)
        assert shown.seed == slot_seed(SECRET, slot)
        hidden = {slot_seed(SECRET, other) for other in range(slots) if other != slot}
        assert hidden.isdisjoint({*shown.header_path, *shown.seed_path, shown.header})
        assert SECRET not in {shown.seed, *shown.seed_path}


def test_a_changed_opening_does_not_match() -> None:
    published, shown = commitment(HEADER, SECRET, 3), open_slot(HEADER, SECRET, 3, 1)
    changed = [
        replace(shown, header=HEADER + b" "),
        replace(shown, seed=bytes(32)),
        replace(shown, slot=0),
        replace(shown, slots=4),
        replace(shown, seed_path=shown.seed_path[:-1]),
        replace(shown, header_path=()),
    ]
    assert not any(opening.matches(published) for opening in changed)
    assert not shown.matches(commitment(HEADER, SECRET, 4)) and not shown.matches("no digest")


def test_a_seed_does_not_pass_for_another_slot() -> None:
    """In a tree of seven leaves the last but one stands where the last of six would."""
    header = _header(6)
    published, shown = commitment(header, SECRET, 6), open_slot(header, SECRET, 6, 5)
    assert shown.matches(published)
    for slots in range(1, 9):
        for slot in range(slots):
            if (slot, slots) != (5, 6):
                assert not replace(shown, slot=slot, slots=slots).matches(published)


def test_a_seed_cannot_be_shown_as_the_header() -> None:
    published = commitment(_header(2), SECRET, 2)
    shown = open_slot(_header(2), SECRET, 2, 0)
    assert not replace(shown, header=shown.seed, header_path=shown.seed_path).matches(published)
