"""The law of power: it must be able to say no, and say nothing where nothing was tried or nothing tells."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protect.errors import InputError
from protect.release.law import LEARNED, PASSES, SIGHTINGS, Law, Power, fit, share, tells
from protect.release.power import RUN_FILE, Run, alike, measured_runs, rehearsed_runs, slots_tried, summary


def at(law: Law, sightings: float) -> Power:
    power = law.power(sightings)
    assert power is not None
    return power


def _runs(half: float, slope: float, sightings: list[float], seed: int = 0) -> list[Run]:
    rng = np.random.default_rng(seed)
    chance = [1 / (1 + (half / s) ** slope) for s in sightings]
    return [Run("template", "twa", "lora", s, bool(rng.random() < c)) for s, c in zip(sightings, chance, strict=True)]


def test_the_law_finds_the_curve_that_made_the_runs() -> None:
    law = fit(_runs(200, 3, list(np.geomspace(20, 2000, 400))))
    for sightings in (50, 150, 200, 400, 1000):
        power, truth = at(law, sightings), 1 / (1 + (200 / sightings) ** 3)
        assert abs(power.mean - truth) < 0.08 and power.low - 0.03 <= truth <= power.high + 0.03
    assert law.borne and law.power(10) is None and law.at_few(0).mean == 0 < law.at_few(10).mean < 0.1
    assert at(law, 50).mean < at(law, 500).mean < 1 and law.power(1e6) == law.power(2_000)
    needed = law.sightings(0.9)
    assert needed is not None and at(law, needed).mean == pytest.approx(0.9, abs=0.02)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Curves drawn from the prior, a dozen runs each: a 90 % credible interval must hold nearly 90 % of them."""
    rng, held = np.random.default_rng(5), 0
    for trial in range(150):
        half, slope = math.exp(rng.normal(math.log(300), 1.5)), math.exp(rng.normal(math.log(4), 0.7))
        law = fit(_runs(half, slope, list(np.geomspace(30, 3000, 12)), seed=trial))
        power, truth = at(law, 300), 1 / (1 + (half and (half / 300)) ** slope)
        held += power.low - 1e-9 <= truth <= power.high + 1e-9
    assert 0.8 <= held / 150 <= 0.98


def test_runs_that_were_all_lost_promise_nothing() -> None:
    law = fit([Run("warp", "twa", "full", s, False) for s in (588.0, 611.0, 617.0, 623.0)])
    assert at(law, 620).mean < 0.35 and law.sightings() is None
    found = fit([Run("warp", "twa", "full", 600.0, True)] * 4)
    assert at(found, 600).mean > 0.75


def test_slots_of_one_model_say_less_than_slots_of_several_and_no_less_than_one() -> None:
    one = at(fit([Run("template", "twa", "lora", 300.0, True)]), 300)
    same = at(fit([Run("template", "twa", "lora", 300.0, True, {}, "one model")] * 8), 300)
    several = at(fit([Run("template", "twa", "lora", 300.0, True, {}, f"model {i}") for i in range(8)]), 300)
    assert one.mean < same.mean < several.mean and several.low > same.low > one.low
    assert summary([Run("template", "twa", "lora", 300.0, True, {}, "one model")] * 8) == (
        "found in 8 of 8 runs in 1 model after 300 sightings"
    )


def test_one_run_leaves_a_wide_interval() -> None:
    power = at(fit([Run("template", "twa", "lora", 300, True)]), 300)
    assert power.high - power.low > 0.4


def test_the_sightings_needed_stay_within_what_was_tried() -> None:
    law = fit(_runs(200, 3, [20.0, 40.0, 60.0] * 20))
    assert law.tried == (20.0, 60.0) and law.sightings() is None


# --- whether runs bear a law ----------------------------------------------------------------------


def _heedless(count: int, chance: float, seed: int) -> list[Run]:
    """Runs that are found or lost whatever their sightings."""
    rng = np.random.default_rng(seed)
    return [Run("lean", "wording", "lora", float(s), bool(rng.random() < chance)) for s in rng.uniform(2e3, 2e4, count)]


def test_where_sightings_tell_nothing_the_share_is_told_and_nothing_outside_what_was_tried() -> None:
    law = fit(_heedless(40, 0.6, 3))
    low, high = law.tried
    assert not law.borne and law.power(low) == law.power(high) == share(law.runs)
    assert law.power(low - 1) is None and law.power(high + 1) is None and law.sightings() is None
    found = sum(run.found for run in law.runs)
    assert share(law.runs).mean == pytest.approx((found + 0.5) / 41)


def test_a_law_that_is_not_there_is_seldom_seen_and_one_that_is_there_nearly_always() -> None:
    seen = [fit(_heedless(14, 0.6, seed)) for seed in range(200)]
    mixed = [law for law in seen if len({run.found for run in law.runs}) == 2]
    assert sum(law.borne for law in mixed) / len(mixed) < 0.1
    steep = [fit(_runs(500, 4, list(np.geomspace(50, 5000, 14)), seed)) for seed in range(100)]
    assert sum(law.borne for law in steep) > 90


def test_the_share_covers_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        power = share(_heedless(12, 0.6, seed))
        held += power.low <= 0.6 <= power.high
    assert 0.85 <= held / 200 <= 0.97


def test_runs_of_one_key_share_their_luck() -> None:
    """Four lucky keys, each in ten models, say less than forty lucky keys."""
    runs = [Run("lean", "wording", "lora", 5e3, True, {}, f"m{i}", key=f"k{i % 4}") for i in range(40)]
    several = [Run("lean", "wording", "lora", 5e3, True, {}, f"m{i}", key=f"k{i}") for i in range(40)]
    assert share(runs).low < share(several).low and share(runs).low > share(runs[:4]).low
    told = summary([*runs, Run("lean", "wording", "lora", 5e3, False, {}, "m40", key="k4")])
    assert told == "found in 40 of 41 runs of 5 keys after 5,000 sightings"


def test_a_key_is_left_out_whole() -> None:
    """Each key is always found or always lost: what one key says of itself foretells no other."""
    rng, runs = np.random.default_rng(0), []
    for key in range(6):
        runs += [
            Run("lean", "wording", "lora", 1e3 * (1 + key), key % 2 == 0, {}, f"{key} {i}", key=str(key))
            for i in range(5)
        ]
    rng.shuffle(runs)  # type: ignore[arg-type]
    assert not tells(runs, SIGHTINGS).borne
    assert (tells(runs, SIGHTINGS).models, tells(runs, SIGHTINGS).keys) == (30, 6)


def test_the_variable_that_tells_is_found_among_those_that_do_not() -> None:
    rng, runs = np.random.default_rng(2), []
    for i in range(20):
        learned = float(rng.uniform(0.02, 0.3))
        run = Run("lean", "wording", "lora", float(rng.uniform(2e3, 2e4)), learned > 0.1, {}, f"m{i}")
        runs.append(replace(run, captions_learned=learned, passes=float(rng.integers(1, 9))))
    assert tells(runs, LEARNED).borne
    assert not tells(runs, SIGHTINGS).borne and not tells(runs, PASSES).borne
    fewer = [replace(run, captions_learned=None) if i < 5 else run for i, run in enumerate(runs)]
    assert tells(fewer, LEARNED).models == 15
    with pytest.raises(InputError, match="not measured"):
        tells([replace(run, passes=None) for run in runs], PASSES)


def test_many_runs_are_judged_in_no_time() -> None:
    import time

    runs = _runs(200, 3, list(np.geomspace(20, 2000, 120)))
    start = time.process_time()
    assert fit(runs).borne
    assert time.process_time() - start < 5


# --- which runs -----------------------------------------------------------------------------------


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


def test_slots_that_are_judged_together_are_a_kind_of_their_own() -> None:
    def of(slots: int) -> Run:
        return Run("lean", "wording", "lora", 9_600.0, True, slots=slots)

    four, eight, one = of(4), of(8), of(1)
    assert alike([four, eight, one], "lean", "wording", "lora", {}, 6) == [four, eight]
    assert alike([four, one], "lean", "wording", "lora", {}, 1) == [one]
    assert slots_tried([four, eight], 6) and not slots_tried([four, eight], 9) and slots_tried([one], 9)
    painted = Run("template", "twa", "lora", 300.0, True)
    assert alike([painted], "template", "twa", "lora", {}, 6) == [painted]


def test_runs_at_a_larger_rate_do_not_speak_for_a_smaller_one() -> None:
    half = Run("lean", "wording", "lora", 9_600.0, True, slots=4, rate=0.5)
    assert alike([half], "lean", "wording", "lora", {}, 4, 0.5) == [half]
    assert alike([half], "lean", "wording", "lora", {}, 4, 0.8) == [half]
    assert alike([half], "lean", "wording", "lora", {}, 4, 0.3) == []
    assert alike([half], "lean", "wording", "lora", {}, 4, 1.0 + 1e-6) == []


def test_drawings_and_photographs_are_counted_apart() -> None:
    runs = [
        Run("lean", "wording", "lora", 5e3, i < 3, pictures="drawings" if i < 4 else "photographs") for i in range(6)
    ]
    assert summary(runs) == "found in 3 of 6 runs (drawings 3 of 4, photographs 0 of 2) after 5,000 sightings"
    shipped = {run.pictures for run in measured_runs() if run.alignment == "wording"}
    assert shipped == {"drawings", "photographs"}, "what failed on photographs is among the runs"
