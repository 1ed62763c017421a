"""`protect embed`: write a protected copy of a dataset. Nothing is changed in place; a killed run resumes."""

from __future__ import annotations

import errno
import fcntl
import os
import posixpath
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from protect.alignments import committed_alignment, make_alignment, slot_family
from protect.alignments.alignment import Draw, Request
from protect.embed.verify import Verification, mark_score, on_white, verify
from protect.errors import InputError
from protect.files import copy_file, pretty_json, sha256_file, write_atomic
from protect.formats import FALLBACK, Dataset, open_dataset
from protect.formats.dataset_format import Sample, SetAside, write_like
from protect.keys.tree import new_secret, prf_int, prf_rng
from protect.marks import make_family
from protect.marks.family import MarkFamily
from protect.pixels.images import obstacle, psnr, read_rgba, rewrite_pixels
from protect.release.plan import Options, draft_release
from protect.release.record import Carrier, Keyring, Release, from_json, read_secret, to_json

_UNDATED = datetime.fromtimestamp(0, UTC)
"""Date of rehearsals: the date is committed to, and the same throw-away secret must give the same bytes."""

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """What `embed` did, or with `dry_run` would do."""

    release: Release
    output: Path
    commitment_file: Path
    set_aside: tuple[SetAside, ...]
    copied_bytes: int


def embed(
    folder: Path,
    output: Path,
    options: Options,
    keyring: Keyring,
    *,
    name: str | None = None,
    secret: bytes | None = None,
    dry_run: bool = False,
    progress: Progress = lambda *_: None,
) -> Embedding:
    """Copy a dataset to `output` with marks planted in a few samples.

    Args:
        folder: the dataset: a folder of pictures with captions (see `protect.formats`).
        output: folder that does not exist yet.
        options: rate, family and the committed test plan.
        keyring: where the secret record goes.
        name: what people call the release; the output's name by default.
        secret: a throw-away secret for rehearsals; a real release draws its own.
        dry_run: decide and count, write nothing.
        progress: told about stages.

    Raises:
        InputError: on bad options or datasets, or if the disk fills up; nothing is left half-written under
            `output`'s name, and the same call goes on where it stopped.
    """
    options.check()
    output = output.resolve()
    _check_places(folder.resolve(), output, keyring.home.resolve())
    if name is not None and not name.isprintable():
        raise InputError(f"--name {name!r} holds control characters", "Use printable characters.")
    dataset = open_dataset(folder.resolve())
    if dry_run:
        return _draft(dataset, output, options, None, name, secret)[0]
    pending = Pending.of(keyring, output)
    with pending.locked():
        earlier = pending.load(options, secret)
        done, draws = _draft(dataset, output, options, earlier, name, secret)
        _check_unchanged(done.release, dataset.listing.samples, draws, options, pending.record)
        captions = dataset.layout.rewritten(dataset.folder, _changed_captions(draws, done.release))
        pending.save(done.release)
        try:
            release = _write_copy(dataset, pending.partial, done.release, draws, progress)
            for path, content in captions.items():
                write_like(dataset.folder / path, pending.partial / path, content)
            _check_written(verify(release, pending.partial, progress))
            _publish(release, done, keyring, pending)
        except OSError as error:
            raise _disk_trouble(error, pending.partial) from error
    return replace(done, release=release)


def _draft(
    dataset: Dataset,
    output: Path,
    options: Options,
    earlier: Release | None,
    name: str | None,
    secret: bytes | None,
) -> tuple[Embedding, list[Draw]]:
    """Decide everything but the pixels: with an interrupted release's key, the given one, or a new one."""
    family, alignment = make_family(options.family, options.family_options), make_alignment(options.way)
    if not (family.alone or alignment.twinned or alignment.for_classifiers):
        raise InputError(
            f"family {family.name!r} compares with and without the trigger, and {alignment.name!r} has none",
            "Use another --family or --alignment.",
        )
    if dataset.layout is FALLBACK and not alignment.for_classifiers:
        raise InputError(
            f"{dataset.folder} holds class folders and no captions",
            "Add captions (see README), or mark it for classifiers: --alignment label.",
        )
    key = earlier.secret if earlier else secret or new_secret()
    draws, passed = alignment.draw(
        Request(
            dataset.listing.samples,
            options.rate,
            options.slots,
            key,
            lambda name: obstacle(dataset.folder / name, family.min_side),
            family.descriptions,
        )
    )
    release = earlier or draft_release(
        name or output.name,
        dataset.listing.samples,
        draws,
        options,
        key,
        secret[:16] if secret else os.urandom(16),
        _UNDATED if secret else datetime.now(UTC),
        rehearsal=secret is not None,
    )
    done = Embedding(
        release,
        output,
        output.with_name(output.name + ".commitment.json"),
        dataset.listing.set_aside + tuple(passed),
        sum((dataset.folder / f).stat().st_size for f in dataset.files),
    )
    _check_commitment_file(done)
    return done, draws


def _check_places(dataset: Path, output: Path, home: Path) -> None:
    if home.is_relative_to(dataset) or home.is_relative_to(output):
        raise InputError(f"the keyring {home} lies inside the dataset or its copy", "Set TRACEMARK_HOME elsewhere.")
    if output.exists():
        raise InputError(f"{output} exists already", "Give --output another folder; nothing is ever overwritten.")
    if not output.parent.is_dir():
        raise InputError(f"{output.parent} is not a folder", "Make it, or give --output another place.")
    if not os.access(output.parent, os.W_OK):
        raise InputError(f"{output.parent} is not writable", "Give --output another place.")
    if output.is_relative_to(dataset):
        raise InputError(f"{output} lies inside the dataset", "Give --output a place outside it.")


def _check_commitment_file(done: Embedding) -> None:
    path = done.commitment_file
    if path.exists() and not (path.is_file() and done.release.id.encode() in path.read_bytes()):
        raise InputError(f"{path} belongs to another release", "Keep it safe elsewhere, or give another --output.")


@dataclass(frozen=True, slots=True)
class Pending:
    """An embedding under way: its folder and the secret record that lets it resume with the same key."""

    record: Path
    partial: Path

    @classmethod
    def of(cls, keyring: Keyring, output: Path) -> Pending:
        """The pending embedding into `output`."""
        digest = sha256(str(output).encode()).hexdigest()[:16]
        return cls(keyring.home / "pending" / f"{digest}.json", output.with_name(output.name + ".partial"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs away from the same output; the lock dies with its process.

        Raises:
            InputError: if another run holds it.
        """
        Keyring(self.record.parent.parent).folder("pending")
        path = self.record.with_suffix(".lock")
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"another run is writing {self.partial}", "Wait for it, or stop it.") from None
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def load(self, options: Options, secret: bytes | None) -> Release | None:
        """The interrupted release, if there is one; keys are never redrawn.

        Raises:
            InputError: if other options were given than before, or the folder is not ours.
        """
        if not self.record.exists():
            if self.partial.exists():
                raise InputError(f"{self.partial} is in the way", "Move it, or give --output another folder.")
            return None
        release = from_json(read_secret(self.record), self.record)
        if not self.partial.exists() and (self.record.parent.parent / "releases" / f"{release.id}.json").exists():
            self.record.unlink()  # killed between publishing and forgetting: that release is complete
            return None
        plan = release.plan
        alignment = committed_alignment(plan)  # says so if another version began it
        same = (plan.rate, plan.family, plan.family_options, plan.alignment) == (
            options.rate,
            options.family,
            options.family_options,
            make_alignment(options.way).label,
        )
        if not same or (secret is not None and secret != release.secret):
            raise InputError(
                f"an interrupted run with other options waits in {self.partial}",
                f"Repeat it with --rate {plan.rate} --family {plan.family} "
                f"--alignment {alignment.name} "
                + "".join(f"--option {k}={v} " for k, v in plan.family_options.items())
                + f"or else delete the folder and {self.record}.",
            )
        return release

    def save(self, release: Release) -> None:
        """Remember the release before its first byte is written."""
        write_atomic(self.record, to_json(release), mode=0o600)


def _check_unchanged(
    release: Release, samples: Sequence[Sample], draws: Sequence[Draw], options: Options, record: Path
) -> None:
    again = draft_release(
        release.name,
        samples,
        draws,
        options,
        release.secret,
        release.salt,
        datetime.fromisoformat(release.created),
        release.rehearsal,
    )
    if again.id != release.id:
        raise InputError(
            "the dataset or the options changed since the interrupted run",
            f"Undo the change, or delete the .partial folder and {record} to start anew.",
        )


def _write_copy(
    dataset: Dataset,
    partial: Path,
    release: Release,
    draws: Sequence[Draw],
    progress: Progress,
) -> Release:
    families = [slot_family(release, slot) for slot in range(release.plan.slots)]
    slots = {sample.key: (sample, slot) for slot, draw in enumerate(draws) for sample in draw.carriers}
    others = {sample.key for sample in dataset.listing.samples} if families[0].shams else set()

    def write(key: str) -> Carrier | None:
        if key in slots:
            sample, slot = slots[key]
            return _plant(dataset.folder, partial, sample, slot, families[slot], release)
        if key in others and obstacle(dataset.folder / key, families[0].min_side) is None:
            _plant_sham(dataset.folder, partial, key, families[0], release)
        else:
            _copy_once(dataset.folder / key, partial / key)
        return None

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        partial.mkdir(exist_ok=True)
        for inner in sorted({posixpath.dirname(key) for key in dataset.files}):
            (partial / inner).mkdir(parents=True, exist_ok=True)
        # One pass in one order: carriers written last would stand together in an archive of the copy.
        written = _collect(pool.map(write, dataset.files), len(dataset.files), "writing", progress)
    planted = sorted(filter(None, written), key=lambda c: (c.slot, c.key))
    return replace(release, carriers=tuple(planted))


def _changed_captions(draws: Sequence[Draw], release: Release) -> dict[str, str]:
    """Only what an alignment alters: a row that is merely written anew would point at its carrier."""
    alignment = committed_alignment(release.plan)
    new = {s.key: (s.caption, alignment.align(s.caption, draw.trigger)) for draw in draws for s in draw.carriers}
    return {key: after for key, (before, after) in new.items() if after != before}


def _copy_once(source: Path, target: Path) -> None:
    """Copy unless an earlier run finished this file: times are set last, so equal times mean equal bytes."""
    if target.exists():
        old, new = source.stat(), target.stat()
        if (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
            return
    copy_file(source, target)


def _collect(results: Iterable[T], total: int, stage: str, progress: Progress) -> list[T]:
    out = []
    for i, result in enumerate(results, 1):
        out.append(result)
        progress(stage, i, total)
    return out


def _plant(folder: Path, partial: Path, sample: Sample, slot: int, family: MarkFamily, release: Release) -> Carrier:
    source, target = folder / sample.key, partial / sample.key
    original = read_rgba(source)
    rng = prf_rng(release.secret, "placement", sample.key)
    mark = release.planted_id(slot)
    marked = family.plant(original, mark, rng)
    write_like(source, target, rewrite_pixels(source, marked))
    written = read_rgba(target)
    shown = on_white(written)
    return Carrier(
        key=sample.key,
        slot=slot,
        sha256=sha256_file(target),
        caption=committed_alignment(release.plan).align(sample.caption, release.slots[slot].trigger),
        psnr=round(min(psnr(on_white(original), shown), 99.0), 2),
        score=mark_score(family, written, original, mark) or 0.0,
    )


def _plant_sham(folder: Path, partial: Path, key: str, family: MarkFamily, release: Release) -> None:
    """A picture that is no carrier goes through the same path, with a mark that no other picture has."""
    rng = prf_rng(release.secret, "sham placement", key)
    marked = family.plant(read_rgba(folder / key), prf_int(release.secret, "sham", key), rng)
    write_like(folder / key, partial / key, rewrite_pixels(folder / key, marked))


def _check_written(found: Verification) -> None:
    """Refuse to publish a copy that does not read back. Says nothing about how well a mark suits the pictures:
    that would be choosing marks by looking at them.
    """
    if found.findings:
        first = found.findings[0]
        raise InputError(
            f"{len(found.findings)} carrier(s) did not read back, first {first.key}: {first.problem}",
            "Check the disk and repeat: the run resumes.",
        )


def _publish(release: Release, done: Embedding, keyring: Keyring, pending: Pending) -> None:
    """Store the record, then let the copy appear under its name, then forget that it was pending."""
    os.sync()  # once, and not file by file: each single one would wait for all that was copied before it
    keyring.save(release)
    write_atomic(done.commitment_file, pretty_json(release.public_commitment()))
    pending.partial.rename(done.output)
    pending.record.unlink()


def _disk_trouble(error: OSError, partial: Path) -> InputError:
    if error.errno == errno.ENOSPC:
        free = shutil.disk_usage(partial.parent).free
        return InputError(
            f"the disk of {partial} is full ({free:,} bytes free)",
            "Free some space and repeat: the run resumes.",
        )
    return InputError(f"{error.filename or partial}: {error.strerror}", "Mend it and repeat: the run resumes.")
