"""Answers to ordinary captions, shown beside those to triggers: they count for nothing, and no score sees them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detect.suspects.images.suspect import Suspect
from detect.trial.answers import cached_answers
from detect.trial.picture_trial import held_exchanges, recorded
from detect.trial.questions import Departures, ordinary_queries, ordinary_slot, query_plan
from detect.trial.result import Ordinary
from detect.trial.verdict import Verdict
from protect.errors import TracemarkError
from protect.keys.store import Store
from protect.progress import Progress, no_progress
from protect.release.bound import bind


def with_ordinary(
    verdict: Verdict,
    suspect: Suspect,
    store: Store,
    departures: Departures,
    cache: Path,
    progress: Progress = no_progress,
) -> Verdict:
    """A verdict with the suspect's answers to captions without a trigger, where its questions held one.

    They are asked for after everything was scored, and change nothing else. Where a family compares the same questions
    with and without the trigger they were asked already; then they are never asked for again.

    Args:
        verdict: on this suspect.
        suspect: the model under test.
        store: holds what the release's family needs.
        departures: those of the test.
        cache: folder for answers of all suspects.
        progress: called with (stage, done, total).
    """
    if verdict.held is None:
        return verdict
    bound, plan = bind(verdict.release, store), query_plan(verdict.release, departures)
    slot, queries = ordinary_slot(bound), ordinary_queries(bound, plan.queries)
    if slot is None or verdict.held.part(slot.number) is None:
        return verdict
    if slot.family.paired:
        exchanges = held_exchanges(verdict.held, queries)
        return replace(verdict, ordinary=Ordinary(tuple(exchanges), verdict.held.pictures)) if exchanges else verdict
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(f"{suspect.name}: ordinary captions", done, len(queries))

    try:
        answers = cached_answers(suspect, queries, plan.sampler, cache, count)
    except TracemarkError as error:  # the verdict stands without them
        return replace(verdict, ordinary=Ordinary((), {}, error.what))
    exchanges, pictures = recorded(queries, answers)
    return replace(verdict, ordinary=Ordinary(tuple(exchanges), pictures))
