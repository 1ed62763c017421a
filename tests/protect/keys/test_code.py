"""The tracing code and recipients' marks: drawn once by the key, the same for one recipient as for all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from protect.keys.code import CUTOFF, TracingCode, arcsine_bias
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
