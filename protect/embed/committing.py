"""From what the key decides to a release with its commitment."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from protect.embed.select import SelectedPart, Selection, changeable
from protect.errors import InputError
from protect.execution.engine import Engine, Threads, batches
from protect.formats.dataset_format import Dataset
from protect.formats.digest import DatasetDigest
from protect.formats.record import Record
from protect.keys.coin import check_value
from protect.progress import Progress, no_progress
from protect.release.plan import Options
from protect.release.record import Coin, Part, Plan, Release, make_header

UNDATED = datetime.fromtimestamp(0, UTC)
"""Date of rehearsals: the date is committed to, and the same throw-away secret must give the same bytes."""
_BATCH = 64
"""Pictures that a worker reads in one go."""


def digest_of_pictures(dataset: Dataset, progress: Progress = no_progress, engine: Engine | None = None) -> str:
    """Digest over the keys and picture files of all samples that may be changed; reads every one of them."""
    digest, done = DatasetDigest(), 0
    for found in (engine or Threads()).map(_hashes, batches(changeable(dataset), _BATCH)):
        for key, sha256 in found:
            digest.add_picture(key, sha256)
        done += len(found)
        progress("reading pictures", done, 0)
    return digest.hexdigest()


def _hashes(records: Sequence[Record]) -> list[tuple[str, str]]:
    return [(record.key, _hash_of(record)) for record in records]


def _hash_of(record: Record) -> str:
    try:
        return hashlib.sha256(record.read()).hexdigest()
    except OSError:
        return "cannot be read"


def commit_to(
    selection: Selection,
    options: Options,
    secret: bytes,
    *,
    name: str,
    created: datetime,
    rehearsal: bool = False,
    coin: Coin | None = None,
    pictures: str | None = None,
) -> Release:
    """A release with its commitment, and with its questions unless they wait for a coin.

    Args:
        selection: what the key decides.
        options: the owner's decisions.
        secret: 32 bytes.
        name: how people call the release; not committed to.
        created: time of the commitment.
        rehearsal: whether the secret is a throw-away.
        coin: public randomness that is to come; of the draws only their number is committed to then.
        pictures: digest of all pictures, which takes the place of the questions' (`digest_of_pictures`).
    """
    plan = plan_of(selection, options, pictures)
    date = created.astimezone(UTC).isoformat(timespec="seconds")
    if coin:
        return Release(name, secret, make_header(plan, created=date, rehearsal=rehearsal, coin=coin))
    draft = Release(name, secret, make_header(plan, created=date, rehearsal=rehearsal))
    draft = draft.with_questions(selection.questions)
    header = make_header(plan, created=date, rehearsal=rehearsal, questions=draft.questions_digest)
    return replace(draft, header=header)


def plan_of(selection: Selection, options: Options, pictures: str | None) -> Plan:
    """What is committed to."""
    return Plan(
        parts=tuple(map(_part_of, selection.parts)),
        dataset=selection.survey.digest,
        samples=selection.survey.changeable,
        pictures=pictures,
        leave_captions=tuple(sorted(selection.dataset.options.leave_captions)),
        decoys=selection.decoys,
        alpha=options.alpha,
        steps=options.steps,
        guidance=options.guidance,
        recipients=options.recipients,
    )


def _part_of(selected: SelectedPart) -> Part:
    family, options = selected.family, selected.options
    return Part(
        family=family.name,
        family_options=dict(options.family_options),
        family_version=family.version,
        alignment=selected.alignment.label,
        alignment_options=dict(options.alignment_options),
        rate=options.rate,
        slots=len(selected.drawn.slots),
        queries=options.queries or family.queries,
    )


def with_coin(release: Release, value: str) -> Release:
    """A committed release once its public coin is known.

    Raises:
        InputError: if the release named no coin, or this is not its value.
    """
    if release.coin_named is None:
        raise InputError(f"commitment {release.id} names no public coin", "Leave --coin out.")
    return replace(release, coin=check_value(release.coin_named, value, release.coin))
