"""What a service may cost, what it did cost, and what it sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service may cost."""

    timeout: float = 300.0
    """Seconds that one request may take in all."""
    attempts: int = 5
    """Requests for one answer before giving up."""
    bytes: int = 64 << 20
    """Of one answer."""
    per_minute: float | None = None
    """Requests at most; None for no limit of ours."""


USUAL_LIMITS = Limits()
"""Unless told otherwise."""


@dataclass(slots=True)
class Tally:
    """What was spent on a service so far."""

    requests: int = 0
    retries: int = 0
    """Requests that repeated one which had failed."""
    pictures: int = 0
    refusals: int = 0
    bytes: int = 0
    """Received."""

    def in_words(self) -> str:
        """One line for people."""
        return (
            f"{self.requests} requests ({self.retries} of them repeats), {self.pictures} pictures, "
            f"{self.refusals} refusals, {self.bytes / 1e6:,.1f} MB"
        )

    def as_json(self) -> dict[str, int]:
        """The fields by name."""
        return asdict(self)


class PassingTrouble(Exception):
    """An answer that is no answer: half of one, or rubbish. The same request may do better."""

    def __init__(self, what: str, pause: float | None = None) -> None:
        super().__init__(what)
        self.what, self.pause = what, pause


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            PassingTrouble: if it is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise PassingTrouble("no JSON") from None

    def fields(self) -> dict[str, Any]:
        """The body as a JSON object (see `json`)."""
        found = self.json()
        if not isinstance(found, dict):
            raise PassingTrouble("JSON that is no object")
        return found


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a number or a date; None if neither was sent."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
