"""The sample-size law: it must be able to say no."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from protect.errors import InputError
from protect.release.power import RUN_FILE, Run, alike, fit, rehearsed_runs, told


def _runs(half: float, slope: float, sightings: list[float], seed: int = 0) -> list[Run]:
    rng = np.random.default_rng(seed)
    chance = [1 / (1 + (half / s) ** slope) for s in sightings]
    return [Run("template", "twa", "lora", s, bool(rng.random() < c)) for s, c in zip(sightings, chance, strict=True)]


def test_the_fit_finds_the_curve_that_made_the_runs() -> None:
    law = fit(_runs(200, 3, list(np.geomspace(20, 2000, 400))))
    assert 160 < law.half < 250 and 2 < law.slope < 4.5 and law.runs == 400
    assert law.power(law.sightings(0.9)) == pytest.approx(0.9)
    assert law.power(0) == 0 < law.power(50) < law.power(500) < 1


def test_few_runs_give_a_finite_and_moved_curve() -> None:
    found = fit([Run("template", "twa", "lora", 100, True)] * 3)
    lost = fit([Run("template", "twa", "lora", 100, False)] * 3)
    assert 1 < found.half < lost.half < 1e5
    assert lost.power(100) < 0.5 < found.power(100)


def test_no_runs_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no measured runs"):
        fit([])
    with pytest.raises(InputError, match="cannot be read"):
        rehearsed_runs([tmp_path])
    (tmp_path / RUN_FILE).write_text("[{}]")
    with pytest.raises(InputError, match="not a list of runs"):
        rehearsed_runs([tmp_path])


def test_rehearsals_are_read_back(tmp_path: Path) -> None:
    run = {"family": "spread", "alignment": "waa", "method": "full", "sightings": 12.5, "found": False}
    (tmp_path / RUN_FILE).write_text(json.dumps([run]))
    assert rehearsed_runs([tmp_path]) == [Run("spread", "waa", "full", 12.5, False)]


def test_runs_are_told_in_words() -> None:
    runs = [Run("template", "twa", "lora", sightings, sightings > 100) for sightings in (50.0, 200.2, 384.0)]
    assert told(runs) == "found in 2 of 3 runs after 50 to 384 sightings"
    assert told(runs[:1]) == "found in 0 of 1 runs after 50 sightings"
    assert told([]) == "power not measured"


def test_triggers_that_are_written_into_captions_count_as_one_kind() -> None:
    runs = [Run("template", a, "lora", 100, True) for a in ("twa", "twa", "twa-conjunction", "waa")]
    assert alike(runs, "template", "twa", "lora") == alike(runs, "template", "twa-double", "lora") == runs[:3]
    assert alike(runs, "template", "waa", "lora") == runs[3:]
    assert not alike(runs, "template", "unconditional", "lora") and not alike(runs, "spread", "twa", "lora")
