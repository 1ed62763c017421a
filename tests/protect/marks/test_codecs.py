"""Families of the invisible-watermark package."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from protect.errors import InputError
from protect.marks import make_family
from protect.marks.family import Answers
from protect.pixels.measure import psnr
from tests.support.pictures import photograph, smooth

CODECS = [
    "dwtdct",
    "dwtdctsvd",
    pytest.param("rivagan", marks=pytest.mark.skipif(not find_spec("onnxruntime"), reason="needs onnxruntime")),
]


def _ids(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


@pytest.mark.parametrize("name", CODECS)
def test_codecs_read_their_message_back(name: str) -> None:
    """The rank is first although single bits of dwtdct are wrong even without any attack."""
    law, ids, rng = make_family(name, {}), _ids(12, 500), np.random.default_rng(0)
    some = (smooth(0), photograph(0), smooth(1), photograph(1))
    pictures = [p[:256, :300] for p in some if law.obstacle(p[:256, :300]) is None]
    assert len(pictures) >= 2
    marked = np.stack([law.plant(p, int(ids[0]), rng) for p in pictures])
    scores = law.score(Answers(marked[..., :3]), ids)
    assert scores[0] > scores[1:].max() and scores[0] > 0.7
    assert psnr(pictures[0][..., :3], marked[0][..., :3]) > 30
    assert np.array_equal(marked[..., 3], np.stack(pictures)[..., 3])


def test_small_outputs_hold_no_message() -> None:
    with pytest.raises(InputError, match="hold no dwtdct message"):
        make_family("dwtdct", {}).score(Answers(np.zeros((2, 64, 64, 3), np.uint8)), _ids(0, 5))


@pytest.mark.parametrize("count", [16, 64])
def test_scores_tie_exactly_wherever_a_mark_stands(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    law = make_family("dwtdct", {})
    bits = 2 * np.random.default_rng(0).integers(0, 2, (count, 32)) - 1
    monkeypatch.setattr(type(law), "features", lambda self, outputs: bits)
    ids, order = _ids(4, 3000), np.random.default_rng(1).permutation(3000)
    outputs = np.zeros((count, 256, 256, 3), np.uint8)
    scores = law.score(Answers(outputs), ids)
    assert np.array_equal(scores[order], law.score(Answers(outputs), ids[order]))
    wanted = np.round(scores * count * 32)
    assert all(len(set(scores[wanted == value])) == 1 for value in set(wanted))
