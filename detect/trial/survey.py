"""Many suspects against many releases: which pairs of them are found, with a false discovery rate (e-BH)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detect.suspects.images.suspect import Suspect
from detect.trial.every_release import detect_all
from detect.trial.judge import uses_reference
from detect.trial.probe import refuse_same
from detect.trial.verdict import Verdict
from protect.errors import ReleaseError, TracemarkError
from protect.evidence import discoveries
from protect.keys.keyring import Keyring
from protect.progress import Progress, no_progress
from protect.release.record import Release


@dataclass(frozen=True, slots=True)
class Pair:
    """One suspect and one release."""

    verdict: Verdict
    e_value: float
    """E when asking stopped, which has mean 1 at most if the suspect is innocent: not its running maximum. That of the
    i-th further look counts by 1 / 2^i, and whatever is inconclusive as 1 at most.
    """
    found: bool
    """Whether it is among what e-BH rejects."""


@dataclass(frozen=True, slots=True)
class Survey:
    """All pairs, those with most evidence first."""

    level: float
    """False discovery rate."""
    pairs: tuple[Pair, ...]
    set_aside: Mapping[str, str]
    """Suspects that could not be opened or are the reference, and why. Their pairs count as E = 1."""
    tested: int
    """m: pairs of a suspect and a release, those that were set aside included."""

    @property
    def alike(self) -> tuple[tuple[str, ...], ...]:
        """Names of suspects that gave the same answers, pixel for pixel: one model under several names, most likely."""
        groups = dict[tuple[str, ...], set[str]]()
        for pair in self.pairs:
            first = pair.verdict.slots[0].counted.answer_sha256 if pair.verdict.slots else ()
            if any(first):
                groups.setdefault((pair.verdict.release.id, *first), set()).add(pair.verdict.suspect)
        return tuple(sorted({tuple(sorted(names)) for names in groups.values() if len(names) > 1}))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know of the suspects, in sentences."""
        return tuple(
            f"{', '.join(names)} gave the same answers: take them for one suspect. If they are said to be different "
            "ones, look where the answers come from."
            for names in self.alike
        )

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON; verdicts are whole."""
        return {
            "false_discovery_rate": self.level,
            "pairs_tested": self.tested,
            "pairs": [{"found": p.found, "e_value": p.e_value, "verdict": p.verdict.as_json()} for p in self.pairs],
            "set_aside": dict(self.set_aside),
            "warnings": list(self.warnings),
        }


def survey(
    suspects: Mapping[str, Callable[[], Suspect]],
    releases: Sequence[Release],
    keyring: Keyring,
    cache: Path,
    level: float,
    *,
    reference: Suspect | None = None,
    progress: Progress = no_progress,
) -> Survey:
    """Test every suspect against every release, and keep the false discovery rate over all pairs.

    Each pair is tested as `detect run` does, by the committed plan, but for one thing: asking goes on until E would
    suffice for a pair that is found alone, m / level. The promise holds however suspects depend on each other.

    Args:
        suspects: opens each suspect, by its name; one is held at a time.
        releases: to be tested on each.
        keyring: holds the ledger.
        cache: folder for the suspects' answers.
        level: false discovery rate, in (0, 1).
        reference: a model such as the suspects were made from (see `detect.trial.judge.detect`). A suspect that is the
            reference itself is set aside.
        progress: called with (stage, done, total).
    """
    tested = len(suspects) * len(releases)
    reference = reference if any(map(uses_reference, releases)) else None
    verdicts, set_aside = list[Verdict](), dict[str, str]()
    for name, opened in suspects.items():
        try:
            suspect = opened()
            refuse_same(keyring, "reference", reference, suspect, "Test it alone, without a reference.")
        except ReleaseError:  # the keyring's trouble is nobody's in particular
            raise
        except TracemarkError as error:  # one suspect's trouble must not end the tests of the others
            set_aside[name] = error.what
            continue
        verdicts += detect_all(
            releases,
            suspect,
            keyring,
            cache,
            reference=reference,
            at_least=tested / level,
            progress=lambda stage, done, total, name=name: progress(f"{name}: {stage}", done, total),  # type: ignore[misc]
        )
    return Survey(level, tuple(_pairs(verdicts, tested, level)), set_aside, tested)


def _pairs(verdicts: Iterable[Verdict], tested: int, level: float) -> list[Pair]:
    held = sorted(((_e_value(verdict), verdict) for verdict in verdicts), key=lambda pair: -pair[0])
    values = np.ones(tested)
    values[: len(held)] = [e for e, _ in held]
    found = discoveries(values, level)
    return [Pair(verdict, e, bool(yes)) for (e, verdict), yes in zip(held, found, strict=False)]


def _e_value(verdict: Verdict) -> float:
    if not verdict.running:
        return 1.0
    further = next(look.further for look in verdict.looks if look.this)
    e_value = float(verdict.running[-1] / 2**further)
    return min(1.0, e_value) if verdict.outcome == "inconclusive" else e_value
