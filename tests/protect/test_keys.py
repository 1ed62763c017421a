from __future__ import annotations

import numpy as np
from scipy import stats

from protect.keys.tree import commitment, decoy_ids, mark_id, prf, prf_int, secret_from_seed

SECRET = secret_from_seed(1, "test")


def test_labels_cannot_be_confused() -> None:
    assert len({prf(SECRET, "a", "b"), prf(SECRET, "ab"), prf(SECRET, "a", "b", ""), prf(SECRET, '["a"', "b")}) == 4
    assert prf(SECRET, "1") != prf(SECRET, 1)


def test_marks_and_decoys_come_from_separate_streams() -> None:
    planted = {mark_id(SECRET, "", "r", k) for k in range(50)}
    decoys = set(decoy_ids(SECRET, "", "r", 0, 1000).tolist()) | set(decoy_ids(SECRET, "", "r", 1, 1000).tolist())
    assert len(planted) == 50 and len(decoys) == 2000 and not planted & decoys


def test_everything_changes_with_coin_release_and_secret() -> None:
    ids = [mark_id(SECRET, c, r, 0) for c in ("", "x") for r in ("a", "b")]
    assert len({*ids, mark_id(secret_from_seed(2, "test"), "", "a", 0)}) == 5


def test_ids_are_uniform() -> None:
    ids = decoy_ids(SECRET, "", "r", 0, 5000) / np.float64(2**64)
    assert stats.kstest(ids, "uniform").pvalue > 1e-3


def test_commitment_binds_every_part() -> None:
    base = commitment(SECRET, b"salt", {"a": 1})
    assert base == commitment(SECRET, b"salt", {"a": 1})
    assert len({base, commitment(SECRET, b"tlas", {"a": 1}), commitment(SECRET, b"salt", {"a": 2})}) == 3


def test_seeds_and_purposes_give_other_secrets() -> None:
    assert len({secret_from_seed(s, p) for s in (0, 1) for p in ("x", "y")}) == 4
    assert 0 <= prf_int(SECRET, "x") < 2**64
