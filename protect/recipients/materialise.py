"""Writing a recipient's copy: the dataset with its captions, everything else as it is."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from protect.buckets import BucketPath
from protect.embed.copy import Copying
from protect.embed.pending import Pending
from protect.embed.places import check_bucket, check_places, commitment_file
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine
from protect.files import canonical_json, pretty_json, private_folder, write_atomic
from protect.formats import open_dataset
from protect.formats.dataset_format import Dataset
from protect.formats.survey import survey
from protect.keys.keyring import Keyring
from protect.progress import Progress, no_progress
from protect.recipients.coded import remember
from protect.recipients.entry import Recipient
from protect.recipients.ledger import open_ledger
from protect.recipients.overlay import Overlay, overlay
from protect.release.record import Release


@dataclass(frozen=True, slots=True)
class Copy:
    """A recipient's copy, written or to be written."""

    release: Release
    recipient: Recipient
    """With the copy's digest."""
    output: Path
    changed: int
    """Samples that differ from the dataset's."""
    painted: int
    """Those whose pictures do."""
    bytes: int
    """That are copied, or linked."""


def materialise(
    release: Release,
    recipient: Recipient,
    output: Path,
    keyring: Keyring,
    *,
    engine: Engine,
    dataset: Path | None = None,
    link: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Copy:
    """Write a recipient's copy and, beside it, what is published of it. A stopped run resumes.

    Args:
        release: made for recipients.
        recipient: in the ledger, and not revoked.
        output: folder that does not exist yet, or file if the dataset is a single file.
        keyring: holds what all copies have in common, and the ledger.
        engine: what does the work.
        dataset: where the dataset is now, if not where it was.
        link: hard-link files that do not change, where the file system allows it.
        dry_run: write nothing.
        progress: told about stages.

    Raises:
        InputError: if the recipient is revoked, the dataset is another one, or something is in the way; nothing is left
            half-written under `output`'s name.
    """
    if recipient.revoked:
        raise InputError(
            f"{recipient.in_words()} is revoked since {recipient.revoked}: {recipient.why}",
            "Enter a new recipient, or the same with --again.",
        )
    made, output = overlay(release, keyring.store, recipient.serial), output.resolve()
    if not made.coded:
        recipient = _with_digest(recipient, made.digest())
    opened = _opened(made, dataset, release, progress)
    check_places(opened.root.resolve(), output, keyring.home.resolve())
    copy = Copy(release, recipient, output, len(made.chosen), made.chosen.painted, opened.size)
    if isinstance(output, BucketPath):
        check_bucket(opened, output)
    if dry_run:
        return copy
    _check_beside(copy)
    return _write(copy, made, opened, keyring, engine, progress, link=link)


def _with_digest(recipient: Recipient, digest: str) -> Recipient:
    if recipient.digest not in ("", digest):
        raise InputError(
            f"this copy would not be the one that {recipient.in_words()} was given before ({recipient.digest[:16]}…)",
            "Use the program version that wrote that one.",
        )
    return replace(recipient, digest=digest)


def _opened(made: Overlay, dataset: Path | None, release: Release, progress: Progress) -> Dataset:
    root = (dataset or made.shared.root).resolve()
    opened = open_dataset(root, made.shared.reading)
    if survey(opened, progress).digest != release.plan.dataset:
        raise InputError(
            f"{root} is not the dataset that release {release.id} was made from",
            "Undo the change, or say where it is now: --dataset DATASET.",
        )
    return opened


def _check_beside(copy: Copy) -> None:
    """Refuse to overwrite what was published of another copy."""
    path = commitment_file(copy.output)
    if path.exists() and not (path.is_file() and copy.recipient.commitment.encode() in path.read_bytes()):
        raise InputError(f"{path} belongs to another copy", "Keep it safe elsewhere, or give another --output.")


def _write(
    copy: Copy, made: Overlay, opened: Dataset, keyring: Keyring, engine: Engine, progress: Progress, *, link: bool
) -> Copy:
    pending = Pending.of(keyring, copy.output)
    with pending.locked(keyring):
        _begin(pending, copy)
        copying = Copying(opened, pending, MemoryBudget(), engine, progress, link)
        bound, failed = copying.write(made.bound, made.chosen)
        if failed:
            raise InputError(
                f"{len(failed)} part(s) of the dataset could not be written; {failed[0].key}: {failed[0].reason}",
                "Mend it and repeat: the run resumes.",
            )
        os.sync()  # once, and not file by file: each single one would wait for all that was copied before it
        with open_ledger(keyring) as ledger:
            if made.coded:
                remember(bound, copy.recipient.serial, ledger)
                copy = replace(copy, recipient=_with_digest(copy.recipient, made.digest(bound.release.carriers)))
            ledger.note_digest(copy.recipient, copy.recipient.digest)
        write_atomic(commitment_file(copy.output), pretty_json(public(copy)))
        pending.publish(opened.root, copy.output)
        pending.forget()
    return copy


def public(copy: Copy) -> dict[str, object]:
    """What lies beside a copy: it tells neither who has it, nor its number, nor any mark."""
    return copy.release.public() | {"recipient": copy.recipient.commitment}


def _begin(pending: Pending, copy: Copy) -> None:
    """Remember whose copy is being written; a stopped run of the same one goes on.

    Raises:
        InputError: if something else is in the way.
    """
    mark = pending.folder / "copy.json"
    row = canonical_json([copy.release.id, copy.recipient.serial])
    if mark.exists() and mark.read_bytes() == row:
        if not pending.is_begun:  # somebody removed it: nothing is done any more
            pending.begin_again()
        return
    if pending.is_begun:
        raise InputError(f"{pending.partial} is in the way", "Move it, or give --output another name.")
    pending.forget()
    private_folder(pending.folder.parent)
    write_atomic(private_folder(pending.folder) / mark.name, row, mode=0o600)
