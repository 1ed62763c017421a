"""Memory and passes: ten thousand long captions, none of which is held."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from protect.alignments import make_alignment
from protect.formats.record import Record
from tests.protect.alignments.requests import record, request_for

SAMPLES, LONG = 10_000, 100
MEGABYTE = 2**20


def _records(samples: int, rare: float) -> list[Record]:
    """Captions of a hundred words, common and rare ones as languages have them, and some that stand nowhere else."""
    rng = np.random.default_rng(0)
    common = [f"word{i}a" for i in range(50_000)]
    made = []
    for i in range(samples):
        places = np.minimum(rng.pareto(0.8, LONG) * 20, len(common) - 1).astype(np.int64).tolist()
        odd = rng.random(LONG) < rare
        said = [f"rare{i}x{j}" if odd[j] else common[place] for j, place in enumerate(places)]
        made.append(record(f"{i:06}.png", " ".join(said)))
    return made


@pytest.fixture(scope="module")
def long_captions() -> list[Record]:
    return _records(SAMPLES, 0.5)


@pytest.mark.parametrize(("name", "most"), [("twa-conjunction", 60), ("waa", 80), ("twa-double", 60), ("twa", 20)])
def test_ten_thousand_long_captions_take_little_memory(name: str, most: int, long_captions: list[Record]) -> None:
    """Beside the captions themselves, which the dataset reads one by one; their pairs of words would take gigabytes."""
    request = request_for(long_captions, rate=0.02, slots=4)
    tracemalloc.start()
    try:
        drawn = make_alignment(name).draw(request)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most * MEGABYTE
    assert len(drawn.slots) == 4 and all(draw.carriers for draw in drawn.slots)


@pytest.mark.parametrize(("name", "most"), [("twa", 3), ("twa-conjunction", 3), ("twa-description", 2), ("waa", 3)])
def test_a_draw_goes_over_the_records_a_few_times(name: str, most: int) -> None:
    passes = 0

    def records() -> Iterator[Record]:
        nonlocal passes
        passes += 1
        return iter(held)

    held = _records(400, 0.0)
    make_alignment(name).draw(request_for(records, rate=0.2, slots=2, count=400))
    assert passes <= most
