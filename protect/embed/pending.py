"""An embedding under way: the secret record that lets it resume with the same key, and which shards are done."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path

from protect.buckets import BucketPath
from protect.embed.places import unfinished_mark
from protect.embed.render import whole
from protect.errors import InputError
from protect.files import PARTIAL, boot_id, lock_file, private_folder, write_atomic
from protect.formats.record import SetAside, normalised
from protect.keys.keyring import LOCKS, PENDING, Keyring, read_secret
from protect.release.record import Carrier, Release
from protect.release.stored import carrier_from, from_json, to_json

_UNFINISHED = b"The copy beside this object is not finished. Repeat the command that was writing it.\n"
_CARRIER = tuple(field.name for field in fields(Carrier))


@dataclass(frozen=True, slots=True)
class ShardDone:
    """What became of a shard."""

    carriers: tuple[Carrier, ...]
    set_aside: tuple[SetAside, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """An embedding into one output. Its folder in the keyring is secret: it names carriers."""

    folder: Path
    partial: Path
    """The unfinished copy. In a bucket it is where the copy will be: nothing is renamed there."""

    @classmethod
    def of(cls, keyring: Keyring, output: Path) -> Pending:
        """The pending embedding into `output`."""
        digest = sha256(os.fsencode(str(output))).hexdigest()[:16]
        in_bucket = isinstance(output, BucketPath)
        return cls(keyring.home / PENDING / digest, output if in_bucket else output.with_name(output.name + PARTIAL))

    @property
    def is_begun(self) -> bool:
        """Whether there is an unfinished copy."""
        return self._mark.exists()

    @property
    def _mark(self) -> Path:
        return unfinished_mark(self.partial) if isinstance(self.partial, BucketPath) else self.partial

    def begin(self) -> None:
        """Make the place of the unfinished copy.

        Raises:
            InputError: if that is in a bucket, and may not be written.
        """
        if isinstance(self.partial, BucketPath):
            unfinished_mark(self.partial).put(_UNFINISHED)
        else:
            self.partial.mkdir(exist_ok=True)

    def publish(self, dataset: Path, output: Path) -> None:
        """Let the copy appear under its name.

        Args:
            dataset: its root.
            output: the name.
        """
        if isinstance(self.partial, BucketPath):
            unfinished_mark(self.partial).remove()
            return
        self.content(dataset).rename(output)
        shutil.rmtree(self.partial, ignore_errors=True)  # empty, if a single file was moved out of it

    def content(self, dataset: Path) -> Path:
        """What will get the output's name: the unfinished folder, or the file in it if the dataset is a single file."""
        return self.partial / dataset.name if dataset.is_file() else self.partial

    @property
    def record(self) -> Path:
        """The secret record."""
        return self.folder / "release.json"

    @contextmanager
    def locked(self, keyring: Keyring) -> Iterator[None]:
        """Keep other runs away from the same output; the lock dies with its process.

        Raises:
            InputError: if another run holds it.
        """
        # The file stays: removing it would let a third run lock a new one while a second waits for the old.
        with (keyring.folder(LOCKS) / f"{self.folder.name}.lock").open("w") as lock:
            if not lock_file(lock.fileno(), wait=False):
                raise InputError(f"another run is writing {self.partial}", "Wait for it, or stop it.")
            yield

    def load(self, keyring: Keyring, dataset: Path) -> Release | None:
        """The interrupted release, if there is one; keys are never redrawn.

        Args:
            keyring: knows which releases are complete.
            dataset: its root.

        Raises:
            InputError: if the unfinished copy is not ours.
        """
        if self.finish(keyring, dataset):
            return None
        if not self.record.exists():
            self.forget()  # what a run left that was killed while it forgot
            if self.is_begun:
                raise InputError(f"{self._mark} is in the way", "Move it, or give --output another name.")
            return None
        release = from_json(read_secret(self.record), self.record)
        if not self.is_begun:  # somebody removed it: nothing is done any more
            self.begin_again()
        return release

    def finish(self, keyring: Keyring, dataset: Path) -> Release | None:
        """Clean up after a run that was killed when its copy was whole, and had its name.

        Args:
            keyring: knows which releases are complete.
            dataset: its root.

        Returns:
            The release; None if there was no such run.
        """
        if not self.record.exists() or (self.is_begun and self.content(dataset).exists()):
            return None
        release = from_json(read_secret(self.record), self.record)
        if not keyring.has_copy(release.id):
            return None
        if not isinstance(self.partial, BucketPath):
            shutil.rmtree(self.partial, ignore_errors=True)
        keyring.settle(release)
        self.forget()
        return release

    def begin_again(self) -> None:
        """Let the next run write every shard anew."""
        for marker in self.folder.glob("*.done.json"):
            marker.unlink()

    def save(self, release: Release) -> None:
        """Remember the release before its first byte is written."""
        private_folder(self.folder.parent)
        private_folder(self.folder)
        write_atomic(self.record, to_json(release), mode=0o600)

    def mark_done(self, shard: str, done: ShardDone) -> None:
        """Remember that a shard is written whole.

        Not forced to disk: each marker would wait for everything that was copied before it. So it counts only until the
        machine starts anew, when what it speaks of may be lost.
        """
        row = {
            "boot": boot_id(),
            "carriers": [[getattr(carrier, name) for name in _CARRIER] for carrier in done.carriers],
            "set_aside": [[aside.key, aside.reason] for aside in done.set_aside],
        }
        marker = self._marker(shard)
        partial = marker.with_suffix(PARTIAL)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(json.dumps(row, ensure_ascii=False).encode())
        partial.replace(marker)

    def not_done(self, shard: str) -> None:
        """Let the next run write a shard anew."""
        self._marker(shard).unlink(missing_ok=True)

    def done(self, shard: str) -> ShardDone | None:
        """What became of a shard in an earlier run; None if it may not be written whole."""
        path = self._marker(shard)
        try:
            row = json.loads(path.read_bytes())
            if row["boot"] != boot_id():
                return None
            return ShardDone(
                tuple(carrier_from(dict(zip(_CARRIER, values, strict=True))) for values in row["carriers"]),
                tuple(SetAside(key, reason) for key, reason in row["set_aside"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def forget(self) -> None:
        """Drop everything that only a resumed run needs."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _marker(self, shard: str) -> Path:
        return self.folder / f"{sha256(shard.encode()).hexdigest()[:32]}.done.json"


def all_carriers(done: Sequence[ShardDone]) -> tuple[Carrier, ...]:
    """Carriers of all shards, by slot and key; one that two shards tell of counts once."""
    found: dict[str, Carrier] = {}
    for carrier in (carrier for result in done for carrier in result.carriers):
        key = normalised(carrier.key)
        found[key] = whole(found.get(key), carrier)
    return tuple(sorted(found.values(), key=lambda c: (c.slots, c.opposite, c.key)))
