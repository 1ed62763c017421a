"""A finder that learned marks of other keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attacks.hunts.finder import PAINTED, planted, suspicion, train_finder
from attacks.stages.attack import Captioned
from attacks.stages.registry import find_attack
from attacks.stages.samples import write_samples
from protect.marks import make_family
from protect.marks.family import Pixels
from tests.support.thieves import photo, resources

CLEAN = [photo(seed, 64, 64) for seed in range(120)]
HELD_OUT = [photo(1_000 + seed, 64, 64) for seed in range(30)]


def _marked(pictures: list[Pixels], family: str, mark: int) -> list[Pixels]:
    law = make_family(family, {})
    opaque = [np.dstack([p, np.full(p.shape[:2], 255, np.uint8)]) for p in pictures]
    return [law.plant(p, mark, np.random.default_rng(i))[..., :3] for i, p in enumerate(opaque)]


def test_every_painted_family_is_planted_with_keys_of_its_own() -> None:
    done = planted(CLEAN[:2], np.random.default_rng(0))
    assert len(done) == 2 * len(PAINTED) and len({p.tobytes() for p in done}) == len(done)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few pictures are learned sooner."""
    monkeypatch.setattr("attacks.hunts.finder._STEPS", 150)


def test_a_finder_finds_marks_that_it_has_never_seen_and_no_clean_picture() -> None:
    finder = train_finder(CLEAN, np.random.default_rng(0))
    clean = suspicion(finder, HELD_OUT)
    for family in ("template", "card"):
        marked = suspicion(finder, _marked(HELD_OUT, family, 7))
        assert np.mean(marked[:, None] > clean[None]) > 0.95, family


def test_the_same_seed_trains_the_same_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attacks.hunts.finder._STEPS", 5)
    first, second = (suspicion(train_finder(CLEAN[:20], np.random.default_rng(0)), HELD_OUT) for _ in range(2))
    assert np.array_equal(first, second)


def test_what_the_finder_is_surest_of_is_left_out(tmp_path: Path) -> None:
    clean = write_samples([Captioned(f"{i}", p, "a field") for i, p in enumerate(CLEAN)], tmp_path / "clean")
    thief = replace(resources(tmp_path, Path("none")), clean=clean)
    carriers = _marked(HELD_OUT[:5], "template", 7)
    samples = [Captioned(f"{i}", p, "a field") for i, p in enumerate([*carriers, *HELD_OUT[5:]])]
    attack = find_attack("drop-found").equipped(thief)
    left = {s.key for s in attack.on_data(samples, 1.0, b"k" * 32)}
    assert len(left) == 24 and len(left & {"0", "1", "2", "3", "4"}) <= 1
    assert len(attack.on_data(samples, 0.0, b"k" * 32)) == 30
