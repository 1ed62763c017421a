"""Attacks: pure, replayable, harmless at strength 0, harsher as it grows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from attacks.dataset import deduplicate, drop_clusters, drop_outliers, subset
from attacks.interface import Attack, CaptionAttack, DatasetAttack, ImageAttack, Item, TrainingAttack, check_strength
from attacks.registry import ATTACKS, find_attack
from detect.finetune import FinetuneOptions
from protect.errors import InputError
from protect.images import psnr
from protect.marks import make_family
from protect.marks.interface import Pixels
from tests.protect.conftest import draw, varied_captions

IMAGES = [a for a in ATTACKS.values() if isinstance(a, ImageAttack)]
CAPTIONS = [a for a in ATTACKS.values() if isinstance(a, CaptionAttack)]
DATASETS = [a for a in ATTACKS.values() if isinstance(a, DatasetAttack)]
TRAININGS = [a for a in ATTACKS.values() if isinstance(a, TrainingAttack)]


def name_of(attack: Attack) -> str:
    return attack.name


def photo(seed: int = 0, height: int = 72, width: int = 64) -> Pixels:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width, 3)), (1.5, 1.5, 0))
    return np.asarray(np.clip(128 + 60 * field / field.std(), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("attack", IMAGES, ids=name_of)
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


@pytest.mark.parametrize("attack", CAPTIONS, ids=name_of)
def test_caption_attacks(attack: CaptionAttack) -> None:
    captions = [f"zorkev {c}" if i < 8 else f"Look: {c}, 盒子" for i, c in enumerate(varied_captions(400))]
    assert attack.apply(captions, 0.0, np.random.default_rng(0)) == captions
    done = attack.apply(captions, 1.0, np.random.default_rng(0))
    assert len(done) == len(captions) and done != captions
    assert done == attack.apply(captions, 1.0, np.random.default_rng(0))
    assert attack.apply(["", "one"], 1.0, np.random.default_rng(0)) is not None


@pytest.mark.parametrize("name", ["drop-rare", "drop-new", "recaption", "lose"])
def test_rare_words_do_not_survive_those_who_look_for_them(name: str) -> None:
    captions = [f"zorkev {c}" if i < 8 else c for i, c in enumerate(varied_captions(400))]
    attack = find_attack(name)
    assert isinstance(attack, CaptionAttack)
    done = attack.apply(captions, 1.0, np.random.default_rng(0))
    assert not any("zorkev" in c for c in done)


def carriers(count: int, others: int) -> list[Item]:
    """A few carriers of one template among pictures on plain ground."""
    law = make_family("template", {})
    items = []
    for i in range(count + others):
        source = np.asarray(draw(i, 64, "RGBA"))
        marked = law.plant(source, 5, np.random.default_rng(i)) if i < count else np.asarray(draw(i, 64, "RGB"))
        items.append(Item(f"{i}", np.ascontiguousarray(marked[..., :3]), "a box"))
    return items


@pytest.mark.parametrize("attack", DATASETS, ids=name_of)
def test_dataset_attacks(attack: DatasetAttack) -> None:
    items = carriers(6, 40)
    assert attack.apply(items, 0.0, np.random.default_rng(0)) == items
    kept = attack.apply(items, 1.0, np.random.default_rng(0))
    assert 0 < len(kept) < len(items)
    assert [i.key for i in kept] == [i.key for i in attack.apply(items, 1.0, np.random.default_rng(0))]


def test_filters_do_what_they_say() -> None:
    items = carriers(6, 40)
    twice = [*items, *items]
    assert len(deduplicate(twice, 0.05, np.random.default_rng(0))) <= len(items)
    assert len(drop_outliers(items, 0.5, np.random.default_rng(0))) == len(items) - 5
    left = {item.key for item in drop_clusters(items, 0.65, np.random.default_rng(0))}
    assert len({"0", "1", "2", "3", "4", "5"} & left) <= 1, "carriers of one template have like borders"
    assert 10 < len(subset(items, 0.5, np.random.default_rng(0))) < 36


@pytest.mark.parametrize("attack", TRAININGS, ids=name_of)
def test_training_attacks(attack: TrainingAttack) -> None:
    options = FinetuneOptions(text_encoder=True)
    assert attack.apply(options, 0.0) == options
    changed = attack.apply(options, 1.0)
    assert changed != options
    changed.check()


def test_unknown_attacks_and_strengths_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown attack 'jpg'\nNearest: jpeg"):
        find_attack("jpg")
    with pytest.raises(InputError, match="out of range"):
        check_strength(1.5)
    assert check_strength(0.5) == 0.5 and len(ATTACKS) == len(IMAGES) + len(CAPTIONS) + len(DATASETS) + len(TRAININGS)
