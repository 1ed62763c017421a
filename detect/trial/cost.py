"""What a test would ask, told before it asks; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from detect.trial.judge import uses_reference
from detect.trial.probe import QUERIES as PROBE
from detect.trial.probe import SAMPLER
from detect.trial.questions import Departures, all_queries, ordinary_queries, query_plan
from protect.keys.store import Store
from protect.release.bound import bind
from protect.release.record import Release


@dataclass(frozen=True, slots=True)
class Cost:
    """Of testing one release."""

    release: str
    """Its id."""
    name: str
    most_pictures: int
    ordinary_pictures: int
    """Further ones, of captions without a trigger: they count for nothing, and only `detect run` asks for them."""
    required_evidence: float
    reference_pictures: int = 0
    """Further ones, of the reference: it is asked whatever the suspect is."""
    control_pictures: int = 0
    """Further ones, of the control; only asked where there is evidence."""

    def in_words(self) -> str:
        """One line for people."""
        parts = (
            (self.ordinary_pictures, "of ordinary captions that count for nothing"),
            (self.reference_pictures, "of the reference"),
            (self.control_pictures, "of the control if there is evidence"),
        )
        more = "".join(f", {count} {what}" for count, what in parts if count)
        return (
            f"{self.release}  {self.name}: at most {self.most_pictures} pictures{more}, and {len(PROBE)} small ones of "
            f"{SAMPLER.steps} steps by which a suspect is known again; evidence needs "
            f"E >= {self.required_evidence:,.0f}, more if the suspect was tested before"
        )

    def as_json(self) -> dict[str, str | int | float]:
        """The fields by name."""
        return asdict(self)


def most_questions(
    releases: Sequence[Release],
    store: Store,
    departures: Departures,
    *,
    reference: bool = False,
    control: bool = False,
) -> list[Cost]:
    """What it takes to test releases together.

    Args:
        releases: all that are tested.
        store: holds what their families need.
        departures: from the committed plan.
        reference: whether there is a reference; families that do not use it ask nothing of it.
        control: whether there is a control.

    Raises:
        InputError: if a release cannot be used by this program, or departures are out of range.
    """
    rows = []
    for release in releases:
        bound, count = bind(release, store), query_plan(release, departures).queries
        asked = set(all_queries(bound, count))
        ordinary = set(ordinary_queries(bound, count)) - asked
        rows.append(
            Cost(
                release.id,
                release.name,
                len(asked),
                len(ordinary),
                len(releases) / release.plan.alpha,
                len(asked) * (reference and uses_reference(release)),
                len(asked) * control,
            ),
        )
    return rows
