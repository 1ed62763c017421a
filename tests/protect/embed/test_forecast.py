"""What an owner may hope for: power with its interval, its basis, and what would be enough."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from protect.embed.expectation import METHODS, Expectation
from protect.embed.forecast import Forecast, check_findable, forecast
from protect.embed.trainers import TRAINERS, Trainer
from protect.errors import InputError
from protect.release.plan import WORDING, Options
from protect.release.power import Run

LADDER = tuple(Run("template", "twa", "lora", float(s), s > 200) for s in (25, 50, 100, 150, 250, 300, 400, 400, 400))


def test_much_is_enough_and_little_is_refused() -> None:
    much = forecast(Options(), 40, 2_400, Expectation(10, "lora", LADDER))
    assert much.enough and much.power is not None and much.power.low > 0.5
    check_findable(much)
    little = forecast(Options(), 3, 300, Expectation(10, "lora", LADDER))
    assert little.hardly and not little.enough
    with pytest.raises(InputError, match="could hardly be found: expected power") as refusal:
        check_findable(little)
    assert little.remedy and little.remedy in refusal.value.advice


@pytest.mark.parametrize("slots", [None, 1, 2, 6])
@pytest.mark.parametrize("samples", [60, 300, 500, 3_000])
def test_the_options_that_are_named_are_enough(slots: int | None, samples: int) -> None:
    expected = Expectation(10, "lora", LADDER)
    little = forecast(Options(rate=0.02, slots=slots), 1, samples, expected)
    found = re.fullmatch(r"--rate (\S+) --slots (\d+)", little.remedy)
    assert found is not None and little.carriers_needed is not None
    rate, planned = float(found[1]), int(found[2])
    assert 0 < rate <= 1 and planned <= (slots or 1)
    assert int(rate * samples + 1e-9) // planned >= little.carriers_needed
    assert forecast(Options(rate=rate, slots=planned), little.carriers_needed, samples, expected).enough


def test_a_dataset_that_is_too_small_is_told_no_options() -> None:
    assert forecast(Options(), 1, 20, Expectation(10, "lora", LADDER)).remedy == ""


def test_more_than_was_tried_promises_what_was_tried() -> None:
    found = forecast(Options(), 4_000, 9_000, Expectation(10, "lora", LADDER))
    at_most = forecast(Options(), 40, 9_000, Expectation(10, "lora", LADDER))
    assert found.power == at_most.power and "nobody tried more" in found.basis


def test_fewer_than_too_few_is_not_enough_and_fewer_than_enough_is_not_known() -> None:
    few = forecast(Options(), 2, 2_000, Expectation(10, "lora", LADDER))
    assert few.power is None and few.verdict == "not enough" and few.carriers_needed is not None
    always = tuple(Run("template", "twa", "lora", 300.0 + i, True) for i in range(12))
    assert forecast(Options(), 28, 2_000, Expectation(10, "lora", always)).verdict == "not known"
    assert forecast(Options(), 30, 2_000, Expectation(10, "lora", always)).verdict == "enough"


def test_runs_that_found_nothing_promise_nothing() -> None:
    lost = tuple(replace(run, found=False) for run in LADDER)
    within, beyond = (forecast(Options(), carriers, 9_000, Expectation(10, "lora", lost)) for carriers in (30, 4_000))
    assert within.power is None and beyond.power is None
    assert within.verdict == "not enough" and beyond.verdict == "not known"
    assert "found in 0 of 9 runs" in within.sentence() and within.in_short() == (
        "not known: none of 9 runs like it was found"
    )
    few = forecast(Options(), 30, 9_000, Expectation(10, "lora", lost[-1:]))
    assert within.sentence().startswith("not expected to be found after 300 sightings")
    assert within.hardly and not few.hardly, "one run is too few to refuse a release"
    assert not beyond.hardly, "nobody tried so many"


def test_less_than_was_ever_tried_promises_nothing_and_one_sighting_is_refused() -> None:
    """All runs were found: below the fewest sightings only the curve speaks, and it knows that few are too few."""
    high = tuple(Run("template", "twa", "lora", 300.0 + i, True) for i in range(12))
    found = forecast(Options(), 28, 2_000, Expectation(10, "lora", high))
    assert found.power is None and not found.enough and not found.hardly and "nobody tried so few" in found.basis
    assert found.in_short() == "not known: 280 sightings, and 300 to 311 were tried"
    assert forecast(Options(), 1, 2_000, Expectation(1, "lora", high)).hardly


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("template", "lora"),
        ("template", "full"),
        ("card", "full"),
        ("scene", "lora"),
        ("latent", "full"),
        ("spread", "full"),
    ],
)
def test_one_carrier_that_is_seen_once_is_refused_whatever_the_family(family: str, method: str) -> None:
    assert forecast(Options(family=family, alignment="twa"), 1, 1_000, Expectation(1, method)).hardly


def test_what_was_never_found_is_not_promised() -> None:
    lost = tuple(Run("warp", "twa", "full", s, False) for s in (588.0, 611.0, 617.0, 623.0))
    found = forecast(Options(family="warp"), 1_000, 9_000, Expectation(10, "full", lost))
    assert not found.enough and found.carriers_needed is None and "found in 0 of 4 runs" in found.sentence()


def test_nothing_measured_is_said() -> None:
    found = forecast(Options(family="dwtdct"), 40, 2_000, Expectation(10, "lora", LADDER))
    assert found.power is None and "no run of this family" in found.sentence()
    stronger = Options(family="template", family_options={"strength": 2.0})
    other = forecast(stronger, 40, 2_000, Expectation(10, "lora", LADDER))
    assert other.power is None, "another strength is another kind"


@pytest.mark.parametrize("bad", [Expectation(0), Expectation(10, "dreambooth")])
def test_expectations_out_of_range(bad: Expectation) -> None:
    with pytest.raises(InputError, match="Allowed"):
        bad.check()


def _wordings(outcomes: str, learned: tuple[float, ...] = (), slots: int = 4) -> tuple[Run, ...]:
    """Runs of choices of words, found (1) or lost (0), each of a key of its own."""
    return tuple(
        Run(
            "lean",
            "wording",
            "lora",
            2_400.0 * (1 + i),
            one == "1",
            {},
            f"model {i}",
            slots,
            key=f"key {i}",
            passes=1.0 + i,
            captions_learned=learned[i] if learned else None,
            rate=0.5,
        )
        for i, one in enumerate(outcomes)
    )


def _planned(passes: float, runs: tuple[Run, ...], slots: int = 4) -> Forecast:
    return forecast(WORDING, 2_400, 2_400, Expectation(passes, "lora", runs), slots=slots)


def test_runs_that_bear_no_law_are_told_as_a_share_and_promise_nothing_outside() -> None:
    runs = _wordings("10110101")
    inside, more = _planned(4, runs), _planned(8, runs)
    assert inside.power == more.power is not None and "more training did not help" in inside.sentence()
    assert "5 of 8" in inside.basis and "for 4 slots together" in inside.sentence()
    assert "8 models, 9,600 to 76,800 tried" in inside.in_short()
    for passes in (0.5, 100):
        outside = _planned(passes, runs)
        assert outside.power is None and outside.verdict == "not known"
        assert outside.in_short().startswith("not known: ") and "9,600 to 76,800 were tried" in outside.in_short()
    assert "8 slots were not tried" in _planned(4, runs, slots=8).in_short()
    assert _planned(4, runs, slots=8).verdict == "not known"


def test_sightings_of_slots_that_are_judged_together_add_up() -> None:
    """Twice as many choices of words are as good as twice as many passes, as far as the curve tells."""
    runs = tuple(run for slots in (2, 4, 8) for run in _wordings("00001111", slots=slots))
    runs = tuple(replace(run, found=run.sightings * run.slots > 30_000, key=f"{i}") for i, run in enumerate(runs))
    four, eight = _planned(6, runs, slots=4), _planned(3, runs, slots=8)
    assert four.power == eight.power is not None and four.law is not None and four.law.borne
    assert four.seen == eight.seen == 4 * 6 * 2_400 and four.sightings == 6 * 2_400
    assert not _planned(1, runs, slots=4).enough and _planned(8, runs, slots=8).enough


def test_kinds_of_pictures_on_which_all_runs_failed_leave_no_promise() -> None:
    runs = tuple(replace(run, pictures="drawings") for run in _wordings("11111111"))
    lost = tuple(replace(run, pictures="photographs", key=f"p{i}") for i, run in enumerate(_wordings("00")))
    assert _planned(8, runs).enough
    doubted = _planned(8, (*runs, *lost))
    assert doubted.power is not None and not doubted.enough and doubted.verdict == "not known"
    assert "none of 2 runs on photographs was found" in doubted.sentence()
    assert doubted.lines()[0] == "if yours are photographs: not found after a LoRA, 0 of 2 runs"
    assert doubted.lines()[1].startswith("expected power")
    outside = _planned(0.5, (*runs, *lost))
    assert outside.power is None
    for found in (doubted, outside):
        assert "(drawings 8 of 8)" in found.sentence(), "the other kinds keep their figures"
        for text in (found.sentence(), "\n".join(found.lines())):
            assert text.count("photographs") == 1, "what was never found is said, and once"
    mended = (*runs, *lost, replace(lost[0], found=True, key="p9"))
    assert "photographs was found" not in _planned(8, mended).sentence()
    assert _planned(8, mended).lines()[0].startswith("expected power")


def test_far_beyond_what_was_tried_no_power_is_told_for_words() -> None:
    runs = _wordings("00111111")
    near, far = _planned(16, runs), _planned(100, runs)
    assert near.power == _planned(8, runs).power is not None and not near.why_not
    assert far.power is None and far.verdict == "not known" and "nobody tried so many" in far.basis


def test_slots_count_by_their_average_where_all_captions_teach() -> None:
    runs = _wordings("11111111")
    found = forecast(WORDING, 1_000, 2_400, Expectation(4, "lora", runs), slots=4, on_average=2_000.0)
    assert found.sightings == 8_000 and found.carriers == 1_000
    painted = forecast(Options(), 40, 2_400, Expectation(10, "lora", LADDER), slots=2, on_average=60.0)
    assert painted.sightings == painted.seen == 400


def test_what_tells_found_from_lost_is_named_only_where_it_does() -> None:
    learned = tuple(0.3 if one == "1" else 0.02 for one in "1011010110")
    told = {one.variable: one.borne for one in _planned(4, _wordings("1011010110", learned)).tells()}
    assert told == {"sightings": False, "passes": False, "how far captions were learned": True}
    assert _planned(4, _wordings("1111")).tells() == []


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda trainer: trainer.name)
def test_trainers_show_what_they_show_whatever_the_dataset(trainer: Trainer) -> None:
    for samples in (50, 2_400):
        if trainer.pictures:
            assert trainer.passes(samples) * samples == pytest.approx(trainer.pictures)
        else:
            assert trainer.passes(samples) == trainer.epochs
    assert (trainer.pictures > 0) != (trainer.epochs > 0) and trainer.method in METHODS and trainer.settings
    assert trainer.settings in trainer.in_words()
