"""An owner who tries keys until one fits a model at hand: without a public coin he succeeds, with one he does not.

`benchmarks/grinding.py` does the same with models.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import numpy as np
import pytest
from PIL import Image

from protect.evidence import slot_evidence
from protect.keys.coin import NO_PUBLIC_COIN, Committed, judge_coin
from protect.keys.tree import KeyTree, SlotKey, secret_from_seed
from protect.marks import make_family
from protect.marks.family import Answers

TRIES, DECOYS = 60_000, 9_999


@cache
def _answers() -> Answers:
    """What a model that met nobody's release drew: smooth pictures with a likeness to each other."""
    rng = np.random.default_rng(7)
    common = rng.normal(128, 40, (6, 6, 3))
    coarse = np.clip(common + rng.normal(0, 25, (16, 6, 6, 3)), 0, 255).astype(np.uint8)
    resized = [np.asarray(Image.fromarray(c).resize((64, 64), Image.Resampling.BICUBIC)) for c in coarse]
    return Answers(np.stack(resized))


def _secret(number: int) -> bytes:
    return secret_from_seed(number, "test grinding")


def _coin(number: int) -> str:
    return f"{number:064x}"


def _scores(ids: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return make_family("template", {}).score(_answers(), ids)


def _evidence(slot: SlotKey) -> float:
    ids = np.concatenate([np.array([slot.planted], dtype=np.uint64), slot.decoys(DECOYS)])
    scores = _scores(ids)
    return slot_evidence(float(scores[0]), scores[1:]).e_value


@cache
def _best(coin: str, count: int) -> list[int]:
    """The tries whose marks the model follows most, best first."""
    ids = [KeyTree(_secret(i), coin).slot(0).planted for i in range(TRIES)]
    return [int(i) for i in np.argsort(-_scores(np.array(ids, dtype=np.uint64)))[:count]]


def test_without_a_coin_a_key_that_accuses_is_found_in_seconds_and_the_verdict_says_so() -> None:
    best = max(_evidence(KeyTree(_secret(i)).slot(0)) for i in _best("", 5))
    assert best >= 1_000
    state = judge_coin(Committed("00" * 32, datetime(2026, 1, 1, tzinfo=UTC), None, ""), [])
    assert state.flags == (NO_PUBLIC_COIN,) and "keys could have been tried" in state.sentence


def test_with_a_coin_the_keys_that_fitted_best_before_it_fit_no_more() -> None:
    after = np.array([_evidence(KeyTree(_secret(i), _coin(i)).slot(0)) for i in _best("", 60)])
    assert after.max() < 1_000
    assert after.mean() < 1 + 4 * after.std(ddof=1) / np.sqrt(len(after))


def test_the_coin_must_be_one_that_the_owner_cannot_choose() -> None:
    """Why its value has one spelling, and why a second request to an authority would be a second draw."""
    ids = [KeyTree(_secret(0), _coin(i)).slot(0).planted for i in range(TRIES)]
    order = np.argsort(-_scores(np.array(ids, dtype=np.uint64)))[:5]
    assert max(_evidence(KeyTree(_secret(0), _coin(int(i))).slot(0)) for i in order) >= 1_000


@pytest.mark.parametrize("number", range(3))
def test_ids_stand_for_marks_alike_with_and_without_a_coin(number: int) -> None:
    """Else grinding before the coin would choose among other marks than those that can come after it."""
    before = _scores(np.array([KeyTree(_secret(i)).slot(number).planted for i in range(4_000)], dtype=np.uint64))
    after = _scores(np.array([KeyTree(_secret(i), "ab").slot(number).planted for i in range(4_000)], dtype=np.uint64))
    assert abs(np.corrcoef(before, after)[0, 1]) < 0.08
    assert abs(before.mean() - after.mean()) < 5 * before.std() / np.sqrt(4_000)
