"""The key tree: domain-separated, and closed to everything that an owner could choose later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from protect.errors import InputError
from protect.keys.coin_value import parse_coin_value
from protect.keys.tree import (
    KeyTree,
    SlotKey,
    new_secret,
    prf,
    prf_int,
    secret_from_seed,
    slot_key,
    slot_seed,
)
from protect.release.record import Coin, Part, Plan, Release, make_header

SECRET = secret_from_seed(0, "test")
PLAN = Plan((Part("template", {}, 3, "twa", {}, 0.02, 2, 8),), "0" * 64, 100, None, (), 999, 1e-3, 20, 3.0)


def test_secrets_from_a_seed_are_reproducible_and_apart_by_purpose() -> None:
    assert secret_from_seed(1, "a") == secret_from_seed(1, "a") != secret_from_seed(1, "b")
    assert len(new_secret()) == 32 and new_secret() != new_secret()


def test_labels_are_unambiguous() -> None:
    assert len({prf(SECRET, "a", 1), prf(SECRET, "a1"), prf(SECRET, "a", "1"), prf(SECRET, "a", 1, "")}) == 4


def test_every_use_of_a_slot_has_a_stream_of_its_own() -> None:
    slot = KeyTree(SECRET).slot(0)
    numbers = [slot.planted, slot.integer("mark"), slot.integer("decoys"), slot.integer("trigger"), prf_int(slot.key)]
    assert len(set(numbers)) == len(numbers)
    assert slot.rng("prompts").integers(2**62) != slot.rng("seeds").integers(2**62)


def test_a_slot_key_hangs_on_secret_coin_recipient_and_slot_and_nothing_else() -> None:
    keys = {
        KeyTree(secret, coin, recipient).slot(number).key
        for secret in (SECRET, secret_from_seed(1, "test"))
        for coin in ("", "abcd")
        for recipient in ("", "someone")
        for number in (0, 1)
    }
    assert len(keys) == 16
    assert slot_key(slot_seed(SECRET, 1), "abcd", "someone") == KeyTree(SECRET, "abcd", "someone").slot(1).key


def test_coin_and_recipient_cannot_be_confused() -> None:
    assert KeyTree(SECRET, "aa", "bbcc").slot(0).key != KeyTree(SECRET, "aabb", "cc").slot(0).key


def _release(created: str, name: str, coin: Coin | None = None, rehearsal: bool = False) -> Release:
    return Release(name, SECRET, make_header(PLAN, created=created, rehearsal=rehearsal, coin=coin))


def test_grinding_what_an_owner_can_choose_changes_no_mark() -> None:
    """A date, a name, a note in the header: 2,000 of each give one mark, one set of decoys, one set of carriers."""
    first = _release("2026-01-01T00:00:00+00:00", "a")
    marks = {(first.keys.slot(0).planted, first.keys.slot(0).decoys(5).tobytes(), first.keys.carrier_rank("x.png"))}
    commitments = {first.commitment}
    for i in range(2_000):
        other = _release(f"2026-01-01T00:{i // 60 % 60:02}:{i % 60:02}+00:00", f"name {i}", rehearsal=bool(i % 2))
        other = replace(other, header=other.header.replace(b'"tracemark":2', b'"note":"%d","tracemark":2' % i))
        commitments.add(other.commitment)
        keys = other.keys
        marks.add((keys.slot(0).planted, keys.slot(0).decoys(5).tobytes(), keys.carrier_rank("x.png")))
    assert len(marks) == 1
    assert len(commitments) > 1_000, "the header was changed indeed"


def test_only_the_coin_named_beforehand_changes_the_marks_of_a_commitment() -> None:
    waiting = _release("2026-01-01T00:00:00+00:00", "a", Coin("beacon", "7"))
    a, b = replace(waiting, coin="01"), replace(waiting, coin="02")
    assert a.commitment == b.commitment == waiting.commitment
    assert a.keys.slot(0).planted != b.keys.slot(0).planted
    assert a.keys.carrier_rank("x.png") == b.keys.carrier_rank("x.png")


def test_a_coin_has_one_spelling() -> None:
    """Letters of either case, prefixes and look-alikes would be a salt to try after the coin is known."""
    value = "0123456789abcdef" * 4
    for text in (value, value.upper(), f"  {value}\n", value[:32] + value[32:].upper()):
        assert parse_coin_value(text) == value
    look_alike = value.replace("a", "\u0430")
    for text in (
        "",
        "  ",
        "0x" + value,
        value[:-1],
        value[:30],
        value + " " + value,
        look_alike,
        "AQID" * 16,
        value * 9,
    ):
        with pytest.raises(InputError, match="not the value of a public coin") as refusal:
            parse_coin_value(text)
        assert str(refusal.value).count("\n") == 1


def test_planted_and_decoys_have_one_distribution() -> None:
    planted = np.array([KeyTree(secret_from_seed(i, "law")).slot(0).planted for i in range(4_000)], dtype=np.float64)
    decoys = KeyTree(SECRET).slot(0).decoys(4_000).astype(np.float64)
    assert len(set(decoys.tolist())) == 4_000
    for ids in (planted, decoys):
        assert stats.kstest(ids / 2.0**64, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("count", [1, 99, 1_000])
def test_fewer_decoys_are_the_first_of_more(count: int) -> None:
    slot = SlotKey(prf(SECRET, "any"))
    assert np.array_equal(slot.decoys(count), slot.decoys(2_000)[:count])
    assert slot.planted not in set(slot.decoys(2_000).tolist())
