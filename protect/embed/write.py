"""`protect embed`: write a protected copy of a dataset. Nothing is changed in place; a killed run resumes."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from protect.buckets import BucketPath
from protect.embed.committing import UNDATED, commit_to, with_coin
from protect.embed.copy import write_copy
from protect.embed.expectation import USUAL, Expectation
from protect.embed.forecast import check_findable, forecasts
from protect.embed.job import Embedding, Job
from protect.embed.pending import Pending
from protect.embed.places import check_bucket, check_places, commitment_file, release_name
from protect.embed.render import carriers_of
from protect.embed.repeats import check_plan
from protect.embed.select import select
from protect.embed.shared import hold_shared
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine, make_engine
from protect.files import pretty_json, write_atomic
from protect.formats import open_dataset
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.keys.coin import how_to_get
from protect.keys.keyring import Keyring
from protect.keys.tree import NO_COIN, KeyTree, new_secret
from protect.progress import Progress, no_progress
from protect.release.bound import bind
from protect.release.plan import Options
from protect.release.record import Release
from protect.working import WRITING


def embed(
    folder: Path,
    output: Path,
    options: Options,
    keyring: Keyring,
    *,
    reading: ReadOptions = AS_IT_IS,
    name: str | None = None,
    secret: bytes | None = None,
    commitment: str | None = None,
    coin: str | None = None,
    expectation: Expectation = USUAL,
    dry_run: bool = False,
    anyway: bool = False,
    link: bool = False,
    progress: Progress = no_progress,
    engine: Engine | None = None,
) -> Embedding:
    """Copy a dataset to `output` with marks planted in some samples; or make it ready for recipients, without a copy.

    Args:
        folder: the dataset, in any form that `protect.formats` reads.
        output: folder that does not exist yet, or file if the dataset is a single file. Where recipients get copies of
            their own, only the commitment is written, beside it.
        options: rate, family and the committed test plan.
        keyring: where the secret record goes, and where pools and bases are.
        reading: what the owner says about the dataset.
        name: what people call the release; by default as its commitment does, or the output's name.
        secret: a throw-away secret for rehearsals; a real release draws its own.
        commitment: id or name of a commitment made before (`commit`), whose secret and plan are used.
        coin: value of the public coin that the commitment named.
        expectation: how a thief is expected to train; for the forecast only.
        dry_run: decide and count, write nothing.
        anyway: write a release that can hardly be found, too. Rehearsals always do.
        link: hard-link files that do not change, where the file system allows it.
        progress: told about stages.
        engine: what does the work; what is written does not depend on it. Processes on all cores if not given.

    Raises:
        InputError: on bad options or datasets, if the release could hardly be found, or if the disk fills up; nothing
            is left half-written under `output`'s name, and the same call goes on where it stopped.
    """
    options.check()
    if link:
        _check_linkable(folder, output, options)
    folder, output = folder.resolve(), output.resolve()
    pending = Pending.of(keyring, output)
    if not dry_run:
        _finish(pending, keyring, folder, output)
    check_places(folder, output, keyring.home.resolve(), dry_run=dry_run)
    waiting = _committed(keyring, commitment, coin, resumed=pending.record.exists())
    job = Job(
        open_dataset(folder, reading),
        output,
        options,
        keyring,
        keyring.store,
        release_name(name or (waiting.name if waiting else None), output),
        expectation,
        MemoryBudget(),
        progress,
        engine or make_engine(modules=WRITING),
    )
    if dry_run:
        return _decide(job, waiting, secret)
    # `waiting`: a commitment that has no copy yet. `earlier`: what a run that was stopped had decided.
    with pending.locked(keyring):
        earlier = _interrupted(job, pending, waiting)
        decided = _decide(job, earlier or waiting, secret)
        if not (anyway or decided.release.rehearsal):
            check_findable(decided.forecast)
        decided = _hold(decided, job)
        if earlier:
            _check_unchanged(earlier, decided.release, secret, pending)
        if waiting:
            keyring.save(waiting)  # with its coin: no second one can be tried
        pending.save(decided.release)
        if options.recipients:
            _publish_commitment(decided, keyring, pending)
            return decided
        return _write_and_publish(decided, job, pending, link)


def _finish(pending: Pending, keyring: Keyring, folder: Path, output: Path) -> None:
    """Clean up after a run that was killed when it was done, and say so where its copy still is."""
    if not pending.record.exists():
        return
    with pending.locked(keyring):
        done = pending.finish(keyring, folder)
    if done and (place := commitment_file(output) if done.plan.recipients else output).exists():
        raise InputError(
            f"{place} is whole, of release {done.id}: the run before was stopped when all was written",
            "Nothing is left to do. For another release, give another --output.",
        )


def _check_linkable(folder: Path, output: Path, options: Options) -> None:
    """Refuse hard links where there are none."""
    if options.recipients:
        raise InputError("--link: for recipients no copy is written yet", "Give it to protect issue --materialise.")
    if isinstance(folder, BucketPath) or isinstance(output, BucketPath):
        raise InputError("--link: files in a bucket have no links", "Leave it out.")


def _committed(keyring: Keyring, commitment: str | None, coin: str | None, *, resumed: bool) -> Release | None:
    """The release that waits for its copy, with its coin."""
    if commitment is None:
        if coin is not None:
            raise InputError("--coin without --commitment", "Say which commitment named the coin: --commitment ID.")
        return None
    used = [r for r in keyring.survey()[0] if r.id.startswith(commitment) or r.name == commitment]
    if used and not resumed:
        raise InputError(
            f"commitment {used[0].id} has a copy already ({used[0].name})", "Make a commitment of its own for another."
        )
    release = keyring.waiting(commitment)
    if release.coin_named and release.coin == NO_COIN and not (coin or "").strip():
        named = release.coin_named
        raise InputError(
            f"commitment {release.id} waits for the coin {named.source}, round {named.round}", how_to_get(named)
        )
    known = with_coin(release, coin) if coin is not None else release
    if release.coin not in (NO_COIN, known.coin):
        raise InputError(
            f"commitment {release.id} was used with the coin {release.coin} already", "A commitment has one coin."
        )
    return known


def _interrupted(job: Job, pending: Pending, waiting: Release | None) -> Release | None:
    """The release of an earlier run that was stopped; this one must be able to go on with it."""
    earlier = pending.load(job.keyring, job.dataset.root)
    if isinstance(job.output, BucketPath):
        check_bucket(job.dataset, job.output)
    if earlier and waiting and (earlier.id, earlier.coin) != (waiting.id, waiting.coin):
        raise InputError(
            f"an interrupted run with another commitment or coin waits in {pending.partial}",
            "Repeat that run, or give another --output.",
        )
    return earlier


def _decide(job: Job, known: Release | None, secret: bytes | None) -> Embedding:
    """Decide everything but the pixels: with a known release's secret, the given one, or a new one."""
    key = known.secret if known else secret or new_secret()
    keys = KeyTree(key, known.coin if known else NO_COIN)
    selection = select(job.dataset, job.options, keys, job.store, job.budget, job.progress, job.engine)
    release = known or commit_to(
        selection,
        job.options,
        key,
        name=job.name,
        created=UNDATED if secret else datetime.now(UTC),
        rehearsal=secret is not None,
    )
    if known:
        check_plan(known, selection, job)
        release = replace(known, name=job.name).with_questions(selection.questions)
    bound, survey = bind(release, job.store), selection.survey
    bound.check_questions(release.plan.queries)
    decided = Embedding(
        release=release,
        bound=bound,
        output=job.output,
        selection=selection,
        set_aside=(*survey.first_set_aside, *selection.passed),
        set_aside_count=survey.set_aside + len(selection.passed),
        left_out=tuple(job.dataset.left_out),
        copied_bytes=job.dataset.size,
        forecasts=forecasts(selection, job.expectation),
        chosen=carriers_of(bound, selection.slots, job.dataset.options.leave_captions),
    )
    _check_commitment_file(decided)
    return decided


def _hold(decided: Embedding, job: Job) -> Embedding:
    """Write into the store what the release was decided with; for recipients also what their copies will share."""
    if job.options.recipients:
        release = replace(decided.release, shared=hold_shared(decided.selection, job.store))
        decided = replace(decided, release=release, bound=replace(decided.bound, release=release))
    job.store.write_held()
    return decided


def _write_and_publish(decided: Embedding, job: Job, pending: Pending, link: bool) -> Embedding:
    """Write the copy, then let it appear under its name."""
    try:
        written = write_copy(decided, job, pending, link)
        _publish(written, job, pending)
    except OSError as error:
        raise _disk_trouble(error, pending.partial) from error
    return written


def _check_unchanged(earlier: Release, now: Release, secret: bytes | None, pending: Pending) -> None:
    if secret not in (None, earlier.secret) or earlier.questions != now.questions or earlier.id != now.id:
        raise InputError(
            f"an interrupted run with other options or data waits in {pending.partial}",
            "Undo the change and repeat that run, or give another --output.",
        )


def _check_commitment_file(done: Embedding) -> None:
    path = done.commitment_file
    if path.exists() and not (path.is_file() and done.release.id.encode() in path.read_bytes()):
        raise InputError(f"{path} belongs to another release", "Keep it safe elsewhere, or give another --output.")


def _publish(done: Embedding, job: Job, pending: Pending) -> None:
    """Store the record, then let the copy appear under its name, then forget that it was pending."""
    os.sync()  # once, and not file by file: each single one would wait for all that was copied before it
    job.keyring.save(done.release)
    write_atomic(done.commitment_file, pretty_json(done.release.public()))
    if done.output.exists() and done.output != pending.partial:
        raise InputError(f"{done.output} appeared meanwhile", "Move it away and repeat: the run resumes.")
    pending.publish(job.dataset.root, done.output)
    job.keyring.settle(done.release)
    pending.forget()


def _publish_commitment(done: Embedding, keyring: Keyring, pending: Pending) -> None:
    """The same for a release of which every recipient will get a copy of its own."""
    write_atomic(done.commitment_file, pretty_json(done.release.public()))
    keyring.save(done.release)
    keyring.settle(done.release)
    pending.forget()


def _disk_trouble(error: OSError, partial: Path) -> InputError:
    if error.errno == errno.ENOSPC and not isinstance(partial, BucketPath):
        free = shutil.disk_usage(partial.parent).free
        return InputError(
            f"the disk of {partial} is full ({free:,} bytes free)", "Free some space and repeat: the run resumes."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename == str(partial):
        return InputError(f"{partial.parent} cannot be written to ({error.strerror})", "Give --output another place.")
    return InputError(f"{error.filename or partial}: {error.strerror}", "Mend it and repeat: the run resumes.")
