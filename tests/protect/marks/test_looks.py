"""Looks: fitted in one pass, blind to mirroring, named by their bytes; marks as directions of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from protect.errors import InputError
from protect.keys.store import Store
from protect.marks.directions import directions
from protect.marks.looks import DIRECTIONS, FEWEST_PICTURES, Looks, LooksFit, glance, hold_looks, stored_looks
from tests.support.leaning import looks_of, varied_pictures

PICTURES = varied_pictures(300)
LOOKS = looks_of(PICTURES)


def _unit(seed: int, length: int = len(LOOKS.spread)) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=length)
    return np.asarray(vector / np.linalg.norm(vector))


def _same(first: Looks, second: Looks) -> bool:
    return all(np.allclose(getattr(first, part), getattr(second, part)) for part in ("mean", "axes", "spread"))


@pytest.mark.parametrize("cuts", [(1, 2, 3), (150,), (0, 299), tuple(range(0, 300, 7))])
def test_a_fit_in_pieces_is_the_fit_of_the_whole(cuts: tuple[int, ...]) -> None:
    fit = LooksFit()
    for piece in np.split(glance(PICTURES), cuts):
        fit.add(piece)
    assert fit.count == 300 and _same(fit.looks(), LOOKS)
    assert not _same(looks_of(PICTURES[:-1]), LOOKS), "one picture less is seen"


def test_looks_are_whitened_and_the_directions_orthonormal() -> None:
    found, axes = LOOKS.of(PICTURES), LOOKS.axes.reshape(len(LOOKS.spread), -1)
    assert found.shape == (300, DIRECTIONS) and np.allclose(found.mean(axis=0), 0)
    assert np.allclose(np.cov(found.T), np.eye(DIRECTIONS), atol=0.05)
    assert np.allclose(axes @ axes.T, np.eye(DIRECTIONS)) and np.all(np.diff(LOOKS.spread) <= 0)


def test_symmetric_looks_do_not_see_mirroring() -> None:
    mirrored = PICTURES[:, :, ::-1]
    assert np.allclose(LOOKS.of(PICTURES), LOOKS.of(mirrored))
    seeing = looks_of(PICTURES, symmetric=False)
    assert np.abs(seeing.of(PICTURES) - seeing.of(mirrored)).max() > 1
    assert not np.allclose(LOOKS.of(PICTURES), LOOKS.of(PICTURES[:, ::-1])), "upside down is another look"


def test_looks_do_not_depend_on_the_size_of_a_picture() -> None:
    large = PICTURES[:5].repeat(3, axis=1).repeat(5, axis=2)
    assert np.allclose(LOOKS.of(large), LOOKS.of(PICTURES[:5]), atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (61, 200), (300, 180)])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_shift_changes_looks_as_told_and_nothing_else(size: tuple[int, int], seed: int) -> None:
    change, grey = 1.5 * _unit(seed), np.full((1, *size, 3), 128, dtype=np.uint8)
    moved = np.clip(np.rint(grey + LOOKS.shift(change, *size)), 0, 255).astype(np.uint8)
    found = (LOOKS.of(moved) - LOOKS.of(grey))[0]
    assert found @ change / 1.5 == pytest.approx(1.5, rel=0.08)
    other = _unit(seed + 10)
    other -= other @ change * change / 1.5**2
    assert abs(found @ other / np.linalg.norm(other)) < 0.08
    assert np.linalg.norm(found - change) < 0.15


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(InputError, match=r"199 pictures can be looked at.* need 200"):
        looks_of(PICTURES[: FEWEST_PICTURES - 1])
    assert len(looks_of(PICTURES[:FEWEST_PICTURES]).spread) == DIRECTIONS


def test_pictures_that_hardly_differ_are_refused_and_the_directions_counted() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (300, 1, 1, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    with pytest.raises(InputError, match=r"differ in 3 direction\(s\) of light and colour, fewer than 6"):
        looks_of(colours)
    with pytest.raises(InputError, match=r"differ in 1 direction\(s\)"):
        looks_of(colours[..., :1].repeat(3, axis=3))
    with pytest.raises(InputError, match=r"differ in 0 direction\(s\)"):
        looks_of(PICTURES[:1].repeat(300, axis=0))


def test_grey_pictures_have_grey_looks() -> None:
    grey = looks_of(PICTURES[..., :1].repeat(3, axis=3))
    change = grey.shift(_unit(3, len(grey.spread)), 40, 40)
    assert len(grey.spread) >= 6 and np.abs(change).max() > 1
    assert np.abs(change - change[..., :1]).max() < 1e-3, "a push leaves grey pictures grey"


def test_looks_are_called_by_their_bytes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = hold_looks(LOOKS, store)
    store.write_held()
    (path,) = (tmp_path / "looks").iterdir()
    assert path.name == f"{name}.npz" and hashlib.sha256(path.read_bytes()).hexdigest() == name
    assert path.stat().st_mode & 0o077 == 0
    assert _same(stored_looks(store, name), LOOKS) and hold_looks(LOOKS, Store(tmp_path / "b")) == name
    assert hold_looks(looks_of(PICTURES[:-1]), store) != name
    with pytest.raises(InputError, match="there is no looks"):
        stored_looks(store, "0" * 64)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match="is damaged"):
        store.get("looks", name, "mean")


@pytest.mark.parametrize("ids", ["neighbours", "steps", "random"])
def test_directions_are_uniform_on_the_sphere_and_independent(ids: str) -> None:
    """Neighbouring ids, ids that lie steps of the inner stream apart, and ids as keys draw them."""
    count, length = 20_000, 12
    step = {"neighbours": 1, "steps": 0x9E3779B97F4A7C15, "random": 0}[ids]
    random = np.random.default_rng(0).integers(0, 2**64, count, dtype=np.uint64)
    marks = np.arange(count, dtype=np.uint64) * np.uint64(step) if step else random
    drawn = directions(marks, 1, length)[:, 0]
    assert np.allclose(np.linalg.norm(drawn, axis=1), 1)
    error = 5 / np.sqrt(count * length)  # of a coordinate; products of two have a smaller one
    assert np.abs(drawn.mean(axis=0)).max() < error
    assert np.abs(drawn.T @ drawn / count - np.eye(length) / length).max() < error
    # The fourth moment of one coordinate of a uniform direction is 3 / (d (d + 2)).
    assert (drawn**4).mean() == pytest.approx(3 / (length * (length + 2)), rel=0.02)
    for one, other in ((drawn[1:], drawn[:-1]), (drawn[1:, :-1], drawn[:-1, 1:]), (drawn[1:, 1:], drawn[:-1, :-1])):
        assert np.abs(one.T @ other / (count - 1)).max() < error
    assert ((drawn[1:] * drawn[:-1]).sum(axis=1) ** 2).mean() == pytest.approx(1 / length, rel=0.05)


def test_several_directions_of_a_mark_are_independent() -> None:
    drawn = directions(np.arange(5_000, dtype=np.uint64), 3, 8)
    assert np.allclose(np.linalg.norm(drawn, axis=2), 1)
    for one in range(3):
        for other in range(one):
            assert np.abs(drawn[:, one].T @ drawn[:, other] / 5_000).max() < 5 / 8 / np.sqrt(5_000)
    assert np.array_equal(directions(np.array([17], dtype=np.uint64), 3, 8)[0], drawn[17])
