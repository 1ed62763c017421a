"""Treatments between release and training, and how marks stand after them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protect.check.survival import Scores, jpeg, resized, survival, vae_round_trip
from protect.errors import InputError
from protect.marks import make_family
from protect.marks.family import Answers, Pixels
from protect.miniature import miniature_path
from tests.support.datasets import draw
from tests.support.pictures import opaque, smooth


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    return [np.asarray(draw(i)) for i in range(20)]


def _ids(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**64, n, dtype=np.uint64)


def test_a_treatment_that_erases_the_mark_is_seen(pictures: list[Pixels]) -> None:
    law, ids = make_family("spread", {}), _ids(500)
    marked = [law.plant(opaque(p), int(ids[0]), np.random.default_rng(0))[..., :3] for p in pictures]
    kept = survival(law, "none", lambda p: p, marked, pictures, ids)
    erased = survival(law, "grey", lambda p: np.full_like(p, 128), marked, pictures, ids)
    foreign = [survival(law, "foreign", lambda p: p, marked, pictures, np.roll(ids, k)).rank_p for k in range(1, 22)]
    assert kept.rank_p == 1 / 500 and erased.rank_p == 1 and np.median(foreign) > 0.1


def test_carriers_of_any_sizes_are_scored_in_one_call(pictures: list[Pixels], monkeypatch: pytest.MonkeyPatch) -> None:
    law, ids, calls = make_family("spread", {}), _ids(200), []
    score = type(law).score
    monkeypatch.setattr(type(law), "score", lambda *given: calls.append(len(given[1].asked)) or score(*given))
    scores = Scores(law, ids)
    for height, width in ((64, 64), (90, 40), (33, 200)):
        original = smooth(height, height, width)
        scores.add(law.plant(original, int(ids[0]), np.random.default_rng(0))[..., :3], original[..., :3])
    assert scores.survival("none").rank_p == 1 / 200 and calls == [3]


def test_codecs_are_scored_picture_by_picture() -> None:
    """Their pictures have sizes of their own; the mean is that of all pictures together."""
    law, ids = make_family("dwtdctsvd", {}), _ids(200)
    originals = [smooth(i, 256, 256) for i in range(2)]
    marked = [law.plant(p, int(ids[0]), np.random.default_rng(0))[..., :3] for p in originals]
    found = survival(law, "none", lambda p: p, marked, [p[..., :3] for p in originals], ids)
    assert found.rank_p == 1 / 200
    assert found.planted == pytest.approx(law.score(Answers(np.stack(marked)), ids)[0])


@pytest.mark.parametrize("treat", [jpeg(50), resized(0.5), resized(0.001)])
def test_treatments_keep_the_size(treat: object, pictures: list[Pixels]) -> None:
    out = treat(pictures[0])  # type: ignore[operator]
    assert out.shape == pictures[0].shape and not np.array_equal(out, pictures[0])


@pytest.mark.parametrize("size", [(50, 50), (3, 70), (300, 700)])
def test_the_vae_takes_any_size(size: tuple[int, int]) -> None:
    picture = smooth(0, *size)[..., :3]
    treated = vae_round_trip(miniature_path())(picture)
    assert treated.shape == picture.shape and not np.array_equal(treated, picture)


def test_no_vae_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no VAE.*\nGive a diffusers pipeline folder"):
        vae_round_trip(tmp_path)
