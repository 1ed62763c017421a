"""What gives carriers away."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from protect.check.exposure import near_duplicates, residual_auc, residual_spectrum
from protect.marks.family import Pixels
from tests.support.datasets import draw


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    return [np.asarray(draw(i)) for i in range(20)]


def test_near_duplicates_are_counted() -> None:
    rng = np.random.default_rng(0)
    noise = [np.asarray(Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64))) for _ in range(6)]
    assert near_duplicates(noise) == 0
    assert near_duplicates([*noise, np.clip(noise[0] + 2.0, 0, 255).astype(np.uint8)]) == pytest.approx(2 / 7)


def test_the_residual_classifier_finds_noise_and_nothing_else(pictures: list[Pixels]) -> None:
    rng = np.random.default_rng(0)
    noisy = [np.clip(p + rng.normal(0, 6, p.shape), 0, 255).astype(np.uint8) for p in pictures]
    assert residual_auc(noisy, pictures) > 0.9
    once, twice = ([np.clip(p + rng.normal(0, 6, p.shape), 0, 255).astype(np.uint8) for p in pictures] for _ in "ab")
    assert 0.2 < residual_auc(once, twice) < 0.8


def test_of_large_pictures_the_middle_is_looked_at_block_by_block() -> None:
    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (2000, 1500, 3), dtype=np.uint8)
    assert np.array_equal(residual_spectrum(large), residual_spectrum(large[488:1512, 232:1256]))
