"""Every release of a keyring against one suspect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detect.suspects.images.suspect import Suspect
from detect.trial.judge import check_testable, detect, flags, versions
from detect.trial.ledger import commitments_held, count_suspects
from detect.trial.questions import AS_COMMITTED, Departures, query_plan
from detect.trial.result import Tally
from detect.trial.verdict import Verdict
from protect.errors import TracemarkError
from protect.keys.history import commitments_before
from protect.keys.keyring import Keyring
from protect.keys.stamps import coin_state
from protect.progress import Progress, no_progress
from protect.release.bound import bind
from protect.release.record import Release


def detect_all(
    releases: Sequence[Release],
    suspect: Suspect,
    keyring: Keyring,
    cache: Path,
    *,
    control: Suspect | None = None,
    reference: Suspect | None = None,
    departures: Departures = AS_COMMITTED,
    anew: bool = False,
    at_least: float = 0.0,
    progress: Progress = no_progress,
) -> list[Verdict]:
    """Test every release, each at its share of the level (Bonferroni: E must reach R/alpha).

    A release that this program cannot use gets an inconclusive verdict and is not entered in the ledger.
    """
    verdicts = []
    for release in releases:
        try:
            check_testable(release)
            coin_state(keyring, release)
            bound = bind(release, keyring.store)
        except TracemarkError as error:  # one release's trouble must not end the tests of the others
            verdicts.append(_untested(release, suspect, keyring, len(releases), departures, error.what))
            continue
        verdicts.append(
            detect(
                bound,
                suspect,
                keyring,
                cache,
                releases=releases,
                control=control,
                reference=reference,
                departures=departures,
                anew=anew,
                at_least=at_least,
                progress=progress,
            )
        )
    return verdicts


def _untested(
    release: Release, suspect: Suspect, keyring: Keyring, together: int, departures: Departures, reason: str
) -> Verdict:
    """What is said of a release without a single question."""
    return Verdict(
        outcome="inconclusive",
        reason=reason,
        kind="pictures",
        release=release,
        suspect=suspect.name,
        identity=dict(suspect.identity),
        alpha=release.plan.alpha,
        threshold=together / release.plan.alpha,
        e_value=1.0,
        p_value=1.0,
        running=(),
        queries=0,
        slots=(),
        tally=Tally(),
        control_e_value=None,
        reference=None,
        flags=flags(release, None, ()),
        suspects_tested=count_suspects(keyring, release),
        looks=(),
        commitments=commitments_held(keyring),
        commitments_before=commitments_before(keyring, release),
        coin="Nothing was asked, and the public coin was not looked at.",
        plan=query_plan(release, departures).as_dict(),
        transcript="",
        versions=versions(),
    )
