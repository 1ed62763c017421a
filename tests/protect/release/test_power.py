"""The sample-size law: it must be able to say no, and say nothing where nothing was tried."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from protect.errors import InputError
from protect.release.power import RUN_FILE, Run, alike, fit, measured_runs, rehearsed_runs, summary


def _runs(half: float, slope: float, sightings: list[float], seed: int = 0) -> list[Run]:
    rng = np.random.default_rng(seed)
    chance = [1 / (1 + (half / s) ** slope) for s in sightings]
    return [Run("template", "twa", "lora", s, bool(rng.random() < c)) for s, c in zip(sightings, chance, strict=True)]


def test_the_law_finds_the_curve_that_made_the_runs() -> None:
    law = fit(_runs(200, 3, list(np.geomspace(20, 2000, 400))))
    for sightings in (50, 150, 200, 400, 1000):
        power, truth = law.power(sightings), 1 / (1 + (200 / sightings) ** 3)
        assert abs(power.mean - truth) < 0.08 and power.low - 0.03 <= truth <= power.high + 0.03
    assert law.power(0).mean == 0 < law.power(50).mean < law.power(500).mean < 1
    needed = law.sightings(0.9)
    assert needed is not None and law.power(needed).mean == pytest.approx(0.9, abs=0.02)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Curves drawn from the prior, a dozen runs each: a 90 % credible interval must hold nearly 90 % of them."""
    rng, held = np.random.default_rng(5), 0
    for trial in range(150):
        half, slope = math.exp(rng.normal(math.log(300), 1.5)), math.exp(rng.normal(math.log(4), 0.7))
        law = fit(_runs(half, slope, list(np.geomspace(30, 3000, 12)), seed=trial))
        power, truth = law.power(300), 1 / (1 + (half and (half / 300)) ** slope)
        held += power.low - 1e-9 <= truth <= power.high + 1e-9
    assert 0.8 <= held / 150 <= 0.98


def test_runs_that_were_all_lost_promise_nothing() -> None:
    law = fit([Run("warp", "twa", "full", s, False) for s in (588.0, 611.0, 617.0, 623.0)])
    assert law.power(620).mean < 0.35 and law.sightings() is None
    found = fit([Run("warp", "twa", "full", 600.0, True)] * 4)
    assert found.power(600).mean > 0.75


def test_slots_of_one_model_say_less_than_slots_of_several_and_no_less_than_one() -> None:
    one = fit([Run("template", "twa", "lora", 300.0, True)]).power(300)
    same = fit([Run("template", "twa", "lora", 300.0, True, {}, "one model")] * 8).power(300)
    several = fit([Run("template", "twa", "lora", 300.0, True, {}, f"model {i}") for i in range(8)]).power(300)
    assert one.mean < same.mean < several.mean and several.low > same.low > one.low
    assert summary([Run("template", "twa", "lora", 300.0, True, {}, "one model")] * 8) == (
        "found in 8 of 8 runs in 1 model after 300 sightings"
    )


def test_one_run_leaves_a_wide_interval() -> None:
    power = fit([Run("template", "twa", "lora", 300, True)]).power(300)
    assert power.high - power.low > 0.4


def test_the_sightings_needed_stay_within_what_was_tried() -> None:
    law = fit(_runs(200, 3, [20.0, 40.0, 60.0] * 20))
    assert law.tried == (20.0, 60.0) and law.sightings() is None


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
    (tmp_path / RUN_FILE).write_text(json.dumps([run | {"options": {"psnr": 30.0}}]))
    assert rehearsed_runs([tmp_path]) == [Run("spread", "waa", "full", 12.5, False, {"psnr": 30.0})]


def test_runs_are_summed_up_in_words() -> None:
    runs = [Run("template", "twa", "lora", sightings, sightings > 100) for sightings in (50.0, 200.2, 384.0)]
    assert summary(runs) == "found in 2 of 3 runs after 50 to 384 sightings"
    assert summary(runs[:1]) == "found in 0 of 1 runs after 50 sightings"
    assert summary([]) == "power not measured"


def test_triggers_that_are_written_into_captions_count_as_one_kind() -> None:
    runs = [Run("template", a, "lora", 100, True) for a in ("twa", "twa", "twa-conjunction", "waa")]
    near = alike(runs, "template", "twa", "lora", {}, 1)
    assert near == alike(runs, "template", "twa-double", "lora", {}, 1) == runs[:3]
    assert alike(runs, "template", "waa", "lora", {}, 1) == runs[3:]
    assert not alike(runs, "template", "unconditional", "lora", {}, 1) and not alike(
        runs, "spread", "twa", "lora", {}, 1
    )
    assert not alike(runs, "template", "twa", "lora", {"psnr": 30.0}, 1), "other strengths are another kind"


def test_failures_are_among_the_runs_that_ship() -> None:
    runs = measured_runs()
    assert sum(not run.found for run in runs) >= 30
    assert [run.found for run in runs if run.family == "warp"].count(True) == 0


def test_slots_that_are_judged_together_do_not_speak_for_fewer() -> None:
    four = Run("lean", "wording", "lora", 9_600.0, True, slots=4)
    assert alike([four], "lean", "wording", "lora", {}, 4) == [four]
    assert alike([four], "lean", "wording", "lora", {}, 1) == []
