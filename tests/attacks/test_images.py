"""Attacks on pictures, plain and with a base model: pure, replayable, harmless at strength 0, harsher as it grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attacks.stages.attack import ImageAttack, OutputAttack, Resources
from attacks.stages.registry import ATTACKS, find_attack
from detect.training.options import FinetuneOptions
from protect.miniature import miniature_path
from protect.pixels.measure import psnr
from tests.support.thieves import carriers, photo

PLAIN = [a for a in ATTACKS.values() if isinstance(a, (ImageAttack, OutputAttack)) and not a.aided]
AIDED = [a for a in ATTACKS.values() if isinstance(a, ImageAttack) and a.aided]


@pytest.mark.parametrize("attack", PLAIN, ids=lambda a: a.name)
def test_image_attacks(attack: ImageAttack) -> None:
    picture = photo()
    assert np.array_equal(attack.apply(picture, 0.0, np.random.default_rng(0)), picture)
    for size in ((72, 64), (1, 1), (5, 300)):
        for strength in (0.01, 0.5, 1.0):
            done = attack.apply(photo(1, *size), strength, np.random.default_rng(0))
            assert done.shape == (*size, 3) and done.dtype == np.uint8
    first, second = (attack.apply(picture, 0.7, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)

    def damage(strength: float) -> float:
        found = [psnr(picture, attack.apply(picture, strength, np.random.default_rng(s))) for s in range(8)]
        return float(np.mean([min(p, 60.0) for p in found]))

    assert damage(1.0) < damage(0.2)
    assert damage(1.0) < 40


def test_every_picture_is_attacked_with_randomness_of_its_own() -> None:
    samples, attack = carriers(2, 4), find_attack("noise")
    first, second = (attack.on_data(samples, 0.5, b"k" * 32) for _ in range(2))
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, second, strict=True))
    turned = attack.on_data(samples[::-1], 0.5, b"k" * 32)[::-1]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, turned, strict=True))
    change = [a.picture.astype(int) - b.picture for a, b in zip(first, samples, strict=True)]
    assert not np.array_equal(change[2], change[3])


def thief(base: Path) -> Resources:
    """Who has nothing but a base."""
    return Resources(base, base, lambda: base, FinetuneOptions())


@pytest.mark.parametrize("attack", AIDED, ids=lambda a: a.name)
def test_image_attacks_that_need_a_base(attack: ImageAttack, base: Path) -> None:
    ready, picture = attack.equipped(thief(base)), photo()
    assert np.array_equal(ready.apply(picture, 0.0, np.random.default_rng(0)), picture)
    for size in ((72, 64), (1, 1), (5, 100)):
        done = ready.apply(photo(1, *size), 0.5, np.random.default_rng(0))
        assert done.shape == (*size, 3) and done.dtype == np.uint8
    first, second = (ready.apply(picture, 0.7, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second) and not np.array_equal(first, picture)


def test_purification_with_the_miniature_keeps_the_picture_and_changes_it() -> None:
    attack = find_attack("purify").equipped(thief(miniature_path()))
    picture = carriers(0, 1)[0].picture
    weak, strong = (psnr(picture, attack.on_output(picture, s, np.random.default_rng(0))) for s in (0.2, 1.0))
    assert 12 < strong < weak < 40


def test_grey_pictures_have_no_colours() -> None:
    grey = find_attack("grey").on_output(photo(), 1.0, np.random.default_rng(0))
    assert np.ptp(grey.astype(int), axis=2).max() <= 1 and np.ptp(photo().astype(int), axis=2).max() > 20
