"""What an owner may hope for: power with its interval, its basis, and what would be enough."""

from __future__ import annotations

import pytest

from protect.embed.forecast import Expectation, check_findable, forecast
from protect.errors import InputError
from protect.release.plan import Options
from protect.release.power import Run

LADDER = tuple(Run("template", "twa", "lora", float(s), s > 200) for s in (25, 50, 100, 150, 250, 300, 400, 400, 400))


def test_much_is_enough_and_little_is_refused() -> None:
    much = forecast(Options(), 40, Expectation(10, "lora", LADDER))
    assert much.enough and much.power is not None and much.power.low > 0.5
    check_findable(much)
    little = forecast(Options(), 3, Expectation(10, "lora", LADDER))
    assert little.hardly and not little.enough
    with pytest.raises(InputError, match="could hardly be found: expected power") as refusal:
        check_findable(little)
    assert little.rate_needed is not None and f"--rate {little.rate_needed:.2g}" in refusal.value.advice


def test_the_rate_that_is_named_is_enough() -> None:
    little = forecast(Options(rate=0.02), 5, Expectation(10, "lora", LADDER))
    assert little.rate_needed is not None and little.carriers_needed is not None
    assert little.rate_needed == pytest.approx(0.02 * little.carriers_needed / 5)
    assert forecast(Options(), little.carriers_needed, Expectation(10, "lora", LADDER)).enough


def test_more_than_was_tried_promises_what_was_tried() -> None:
    found = forecast(Options(), 4_000, Expectation(10, "lora", LADDER))
    at_most = forecast(Options(), 40, Expectation(10, "lora", LADDER))
    assert found.power == at_most.power and "more were not tried" in found.basis


def test_less_than_was_ever_tried_promises_nothing() -> None:
    """All runs were found: below the fewest sightings nothing is known."""
    high = tuple(Run("template", "twa", "lora", 300.0 + i, True) for i in range(12))
    found = forecast(Options(), 10, Expectation(10, "lora", high))
    assert found.power is None and not found.hardly and not found.enough and "fewer than were ever tried" in found.basis
    check_findable(found)


def test_what_was_never_found_is_not_promised() -> None:
    lost = tuple(Run("warp", "twa", "full", s, False) for s in (588.0, 611.0, 617.0, 623.0))
    found = forecast(Options(family="warp"), 1_000, Expectation(10, "full", lost))
    assert not found.enough and found.sightings_needed is None and "found in 0 of 4 runs" in found.sentence()


def test_nothing_measured_is_said() -> None:
    found = forecast(Options(family="dwtdct"), 40, Expectation(10, "lora", LADDER))
    assert found.power is None and "no run of this family" in found.sentence()
    other = forecast(Options(family="template", family_options={"strength": 2.0}), 40, Expectation(10, "lora", LADDER))
    assert other.power is None, "another strength is another kind"


@pytest.mark.parametrize("bad", [Expectation(0), Expectation(10, "dreambooth")])
def test_expectations_out_of_range(bad: Expectation) -> None:
    with pytest.raises(InputError, match="Allowed"):
        bad.check()
