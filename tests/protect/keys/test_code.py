"""The tracing code and recipients' marks: drawn once by the key, the same for one recipient as for all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from protect.keys.code import CUTOFF, TWINS, TracingCode, alike, arcsine_bias, most_recipients
from protect.keys.tree import KeyTree, recipients_draws, secret_from_seed, slot_seed

CODE = TracingCode(secret_from_seed(4, "code"), "00" * 16, 40)


def test_recipients_are_drawn_as_the_key_tree_draws_them() -> None:
    secret = secret_from_seed(1, "trace")
    for coin in ("", "00ff" * 8):
        marks = recipients_draws(slot_seed(secret, 3), coin, range(9, 12), "mark")
        assert marks.tolist() == [KeyTree(secret, coin, str(serial)).slot(3).planted for serial in (9, 10, 11)]
        assert set(marks.tolist()).isdisjoint(KeyTree(secret, coin).slot(3).decoys(1000).tolist())


def test_biases_follow_the_arcsine_law_between_their_cutoffs() -> None:
    least = np.arcsin(np.sqrt(CUTOFF))
    law = stats.uniform(least, np.pi / 2 - 2 * least)
    codes = [TracingCode(secret_from_seed(seed, "bias"), "", 8).bias for seed in range(250)]
    assert stats.kstest(np.arcsin(np.sqrt(np.concatenate(codes))), law.cdf).pvalue > 1e-3
    ends = arcsine_bias(np.array([0.0, np.nextafter(1, 0)]))
    assert ends == pytest.approx([CUTOFF, 1 - CUTOFF])


def test_bits_are_bernoulli_and_never_drawn_again() -> None:
    bits = np.stack([CODE.bits(slot, range(1, 4001)) for slot in range(40)], axis=1)
    apart = np.stack([CODE.bits(slot, range(3990, 4001)) for slot in range(40)], axis=1)
    assert np.array_equal(bits[3989:], apart), "a recipient's bits do not depend on who else there is"
    deviation = (bits.mean(axis=0) - CODE.bias) / np.sqrt(CODE.bias * (1 - CODE.bias) / 4000)
    assert np.abs(deviation).max() < 4.5
    assert abs(np.corrcoef(bits[:, 0], bits[:, 1])[0, 1]) < 0.07
    marks = np.concatenate([CODE.marks(slot) for slot in range(40)])
    assert len(set(marks.tolist())) == 80


def test_two_recipients_share_bits_as_often_as_is_said() -> None:
    bias = arcsine_bias((np.arange(100_000) + 0.5) / 100_000)
    assert (bias**2 + (1 - bias) ** 2).mean() == pytest.approx(alike(), abs=1e-6)


def test_so_many_recipients_seldom_share_all_bits() -> None:
    """Any two of the most that are allowed, over keys, no more often than the bound says."""
    slots, keys = 18, 400
    most = most_recipients(slots)
    shared = 0
    for seed in range(keys):
        code = TracingCode(secret_from_seed(seed, "twins"), "", slots)
        bits = np.stack([code.bits(slot, range(1, most + 1)) for slot in range(slots)], axis=1)
        shared += len(np.unique(bits, axis=0)) < most
    assert shared and stats.binom.sf(shared - 1, keys, TWINS) > 1e-3
