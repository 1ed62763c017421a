"""Where a coin decides what the carriers are, a commitment is made only if other coins would do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from protect.embed.coins import TRIED, follow_coin, try_other_coins, what_coin_may_do
from protect.embed.commit import commit
from protect.errors import InputError
from protect.keys.keyring import Keyring
from protect.keys.tree import KeyTree
from protect.release.plan import Options
from protect.release.record import Coin
from tests.support.datasets import make_folder, recaption, varied_captions

COIN = Coin("some beacon", "12345678")
TWO = Options(rate=1.0, slots=2, decoys=99, alpha=0.05, alignment="waa")


def test_which_alignments_follow_the_coin() -> None:
    assert follow_coin(["twa", "waa"]) and follow_coin(["waa/2"])
    assert not follow_coin(["twa", "twa-conjunction", "unconditional", "label", "not installed"])
    assert what_coin_may_do(["twa"]) == () and f"{TRIED} others were tried" in what_coin_may_do(["waa"])[0]


def test_other_coins_are_always_the_same_and_their_refusal_is_passed_on() -> None:
    tried: list[list[bytes]] = [[], []]
    for seen in tried:
        try_other_coins(lambda keys, seen=seen: seen.append(keys.secret))  # type: ignore[misc]
    assert tried[0] == tried[1] and len(set(tried[0])) == TRIED

    def third_fails(keys: KeyTree) -> None:
        if keys.secret == tried[0][2]:
            raise InputError("slot 2 is empty", "Use fewer --slots.")

    with pytest.raises(InputError) as refusal:
        try_other_coins(third_fails)
    assert str(refusal.value) == "the coin may choose badly: with another one, slot 2 is empty\nUse fewer --slots."


def test_a_plan_that_some_coins_could_not_fill_is_not_committed_to(tmp_path: Path, keyring: Keyring) -> None:
    """Two words of 15 captions each, and one word in all 30: a slot that gets that one leaves nothing for the other."""
    captions = [f"{['kite', 'boat'][i % 2]} outdoors" if i < 30 else f"number{i}" for i in range(60)]
    nested = recaption(make_folder(tmp_path / "d", 60), captions)
    with pytest.raises(InputError, match="no n-gram occurs in 15 to 30 of the 60 captions for slot 2") as refusal:
        commit(nested, tmp_path / "out", TWO, keyring, COIN, anyway=True)
    assert "--slots" in refusal.value.advice
    assert keyring.commitments() == ([], []) and not (tmp_path / "out.commitment.json").exists()
    assert commit(nested, tmp_path / "out", replace(TWO, slots=1), keyring, COIN, anyway=True).plan.slots == 1
    other = recaption(make_folder(tmp_path / "e", 60), varied_captions(60))
    assert commit(other, tmp_path / "more", replace(TWO, rate=0.5), keyring, COIN, anyway=True).plan.slots == 2
