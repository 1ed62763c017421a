"""Marks as vectors of signs over cosine waves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protect.marks.blocks import row_blocks
from protect.marks.sign_vectors import Waves, rank_scores, sign_vectors, squashed


def _ids(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


def test_signs_are_fair_and_independent() -> None:
    matrix = sign_vectors(_ids(6, 4000), 105).astype(float)
    assert set(np.unique(matrix)) == {-1.0, 1.0}
    assert abs(matrix.mean()) < 0.01
    assert np.abs(matrix.mean(axis=0)).max() < 5 / np.sqrt(4000)
    neighbours = sign_vectors(np.arange(4000, dtype=np.uint64), 105).astype(float)
    correlation = neighbours.T @ neighbours / 4000 - np.eye(105)
    assert np.abs(correlation).max() < 6 / np.sqrt(4000)


@pytest.mark.parametrize("size", [(37, 50), (500, 400)])
def test_waves_render_and_project_are_inverse(size: tuple[int, int]) -> None:
    """Whether the picture is one block of rows or several."""
    waves = Waves(low=1, high=4)
    coefficients = np.random.default_rng(0).normal(size=(3, len(waves.modes)))
    assert np.allclose(waves.project(waves.render(coefficients, *size)[None])[0], coefficients)


def test_the_norm_of_coefficients_says_how_strong_a_picture_is() -> None:
    waves = Waves(low=1, high=7)
    coefficients = np.random.default_rng(0).normal(size=(3, len(waves.modes)))
    rendered = waves.render(coefficients / np.linalg.norm(coefficients), 90, 70)
    assert np.isclose(np.mean(rendered**2), 1 / 3)


@given(st.integers(1, 300), st.integers(1, 200_000))
def test_blocks_cover_every_row_once(height: int, width: int) -> None:
    rows = [row for block in row_blocks(height, width) for row in range(height)[block]]
    assert rows == list(range(height))


def test_rank_scores_are_cosines() -> None:
    ids = _ids(8, 20)
    codes = sign_vectors(ids, 60).astype(float)
    assert rank_scores(codes[:1], ids)[0] == 1
    assert np.abs(rank_scores(codes[:1], ids)[1:]).max() < 0.6


def test_squashing_is_blind_to_the_size_of_each_wave() -> None:
    rng = np.random.default_rng(0)
    features, sizes = rng.normal(size=(9, 40)), 10.0 ** rng.uniform(-4, 4, 40)
    features[:, 7] = 0
    squeezed = squashed(features)
    assert np.allclose(squashed(features * sizes), squeezed) and np.abs(squeezed).max() < 1
    assert np.array_equal(np.sign(squeezed), np.sign(features)) and np.allclose(squashed(-features), -squeezed)
    assert np.allclose(squashed(features[:1]), np.sign(features[:1]) * np.tanh(1)), "of one picture only signs are left"
