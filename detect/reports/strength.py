"""How likely a guilty model is found by a release: without it nobody can tell what finding nothing is worth."""

from __future__ import annotations

from itertools import accumulate, pairwise

from detect.trial.verdict import Verdict
from protect.embed.expectation import METHODS, USUAL
from protect.embed.forecast import Forecast, forecast
from protect.release.plan import PartOptions
from protect.release.power import WANTED
from protect.release.record import Part

_WORTH = {
    "weak": "Finding nothing says little here: a guilty model is often missed.",
    "strong": "So finding nothing says something, for models that were trained in such a way, and nothing for others.",
    "unknown": "So nobody can say what finding nothing is worth here.",
}


def strength_in_words(verdict: Verdict) -> list[str]:
    """The expected power of each part of a release, and what it means for a verdict that found nothing."""
    release = verdict.release
    if verdict.kind == "labels":
        return ["Not known: no law of power was measured for classifiers. A rehearsal of your own tells."]
    if not release.questions:
        return ["Not known: its copy is not written."]
    plan = release.plan
    taught = [release.slot_questions(slot).taught for slot in range(plan.slots)]
    edges = pairwise(accumulate((part.slots for part in plan.parts), initial=0))
    found = [
        _forecast(part, taught[start:end], plan.samples) for part, (start, end) in zip(plan.parts, edges, strict=True)
    ]
    expected = f"If somebody trains {METHODS[USUAL.method]} on the copy in {USUAL.passes:g} passes:"
    names = [f"{part.family}, {part.alignment}: " if len(found) > 1 else "" for part in plan.parts]
    lines = [f"{expected} {name}{one.sentence()}." for name, one in zip(names, found, strict=True)]
    return [*lines, _WORTH[_worth(found)]] if verdict.outcome == "no evidence" else lines


def _forecast(part: Part, taught: list[int], samples: int) -> Forecast:
    options = PartOptions(part.rate, part.family, part.alignment, dict(part.family_options))
    mean = sum(taught) / len(taught)
    return forecast(options, min(taught), samples, USUAL, slots=part.slots, on_average=mean)


def _worth(found: list[Forecast]) -> str:
    powers = [one.power.mean for one in found if one.power is not None and not one.why_not]
    if not powers:
        return "weak" if any(one.hardly or one.verdict == "not enough" for one in found) else "unknown"
    return "strong" if max(powers) >= WANTED else "weak"
