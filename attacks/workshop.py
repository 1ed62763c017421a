"""The workshop: a folder in which cells are measured, and what they share: settings, parts, marked copies, paths."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from attacks.cell import Cell
from attacks.parts import divide
from attacks.result import SCHEMA, CellResult, from_json
from attacks.stages.attack import Resources
from attacks.stages.registry import find_attack
from detect.suspects.images import check_base
from detect.training.options import FinetuneOptions
from detect.training.rehearse import protected_copy, stamp
from protect.embed.write import embed
from protect.errors import InputError
from protect.files import pretty_json, write_atomic
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.formats.record import SetAside
from protect.keys.keyring import Keyring
from protect.keys.store import KINDS, NO_STORE, Store
from protect.keys.tree import secret_from_seed
from protect.marks.family import FamilyOptions
from protect.progress import Progress, no_progress
from protect.release.bound import BoundRelease, bind
from protect.release.plan import Options, usual_part

_TRIES = 50
"""Keys that are tried for each one wanted."""
_STAMP = "attacks.json"
_STEP, _RECIPIENT = 40, 48
"""Bits by which the seeds of further keys and of recipients are shifted, so that no two are the same."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all cells of a run share."""

    dataset: Path
    base: Path
    embedding: Options
    tuning: FinetuneOptions
    device: str = "cpu"
    keys: int = 1
    """Releases side by side in each copy, each with a key of its own: as many tests of one trained model."""
    captioner: Path | None = None
    """Folder of an image-to-text model, for those who caption anew with one."""
    family_options: Mapping[str, FamilyOptions] = field(default_factory=dict)
    """Options of families that take or need some."""
    store: Store = NO_STORE
    """Holds the pools and bases which these options name."""
    reading: ReadOptions = AS_IT_IS
    """What the owner says about the dataset."""

    def options(self, cell: Cell) -> Options:
        """How a cell's release is marked."""
        usual = usual_part(self.embedding.rate, cell.family, cell.alignment).family_options
        own = {**usual, **self.family_options.get(cell.family, {})}
        return replace(self.embedding, family=cell.family, alignment=cell.alignment, family_options=own)

    def as_json(self) -> dict[str, object]:
        """All that results depend on; family and alignment are each cell's own."""
        shared = asdict(self.embedding) | {"family_options": dict(self.family_options)}
        del shared["family"], shared["alignment"]
        return {
            "schema": SCHEMA,
            "dataset": str(self.dataset.resolve()),
            "reading": asdict(self.reading),
            "base": str(self.base.resolve()),
            "embedding": shared,
            "tuning": asdict(self.tuning),
            "keys": self.keys,
            "captioner": self.captioner and str(self.captioner.resolve()),
        }


@dataclass(frozen=True, slots=True)
class MarkedCopy:
    """Releases on the owner's part, one on top of the other."""

    folder: Path
    """Holds all of them."""
    releases: tuple[BoundRelease, ...]


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder in which cells are measured; everything in it is made once and found again."""

    setting: Setting
    work: Path
    cache: Path
    """Folder for what suspects answered."""
    progress: Progress = no_progress

    def prepare(self) -> tuple[SetAside, ...]:
        """Make the folder, or see that it belongs to this setting; divide the dataset.

        Returns:
            Samples that cannot be used, with their reasons.

        Raises:
            InputError: if the folder was made with another setting or for something else, or the dataset is too small.
            SuspectError: if the base is no diffusers folder.
        """
        check_base(self.setting.base)
        work = self.work
        if work.is_file() or (work.is_dir() and any(work.iterdir()) and not (work / _STAMP).exists()):
            raise InputError(f"{work} exists and is not a folder of attacks", "Give --output another folder.")
        (work / "cells").mkdir(parents=True, exist_ok=True)
        stamp(work / _STAMP, self.setting.as_json())
        self.borrow_arrays()
        return divide(self.setting.dataset, work, self.setting.reading)

    def borrow_arrays(self) -> None:
        """Copy the pools and bases that families need from the owner's store.

        Raises:
            InputError: if one is not there.
        """
        for options in self.setting.family_options.values():
            _borrow(self.setting.store, self.keyring.store, options)

    def part(self, name: str) -> Path:
        """A part of the dataset: "own", "clean" or "held-out"."""
        return self.work / name

    @property
    def keyring(self) -> Keyring:
        """Holds the throw-away releases."""
        return Keyring((self.work / "keyring").absolute())

    def ledger(self, cell: Cell, release: BoundRelease) -> Keyring:
        """A ledger of its own for each test: an experiment by itself, not one look among many."""
        return Keyring((self.work / "tests" / cell.name / release.release.id).absolute())

    def resources(self, cell: Cell) -> Resources:
        """What a thief has besides the copy of a cell."""
        return Resources(
            base=self.setting.base,
            clean=self.part("clean"),
            copies=lambda recipient: self.marked_copy(cell, recipient).folder,
            tuning=self.setting.tuning,
            device=self.setting.device,
            captioner=self.setting.captioner,
        )

    def result_path(self, cell: Cell) -> Path:
        """Where a measured cell is kept."""
        return self.work / "cells" / f"{cell.name}.json"

    def load(self, cell: Cell) -> CellResult | None:
        """What was measured in a cell; None if nothing was.

        Raises:
            InputError: if its file is damaged.
        """
        path = self.result_path(cell)
        if not path.exists():
            return None
        try:
            return from_json(json.loads(path.read_bytes()))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is no result of a cell ({error})", "Remove it: the cell is measured anew."
            ) from None

    def save(self, result: CellResult) -> None:
        """Keep a result, unless a test of it was inconclusive by a fault, not by the attack: that is tried again."""
        if result.conclusive or find_attack(result.cell.attack).refuses:
            write_atomic(self.result_path(result.cell), pretty_json(result.as_json()))

    def marked_copy(self, cell: Cell, recipient: int = 0) -> MarkedCopy:
        """The releases of a cell's keys.

        Each recipient's copy has keys of its own. A key whose trigger another one has is passed over, before any mark
        is drawn: two marks under one trigger would be neither's.

        Args:
            cell: says family, alignment and seed.
            recipient: whose copy; 0 is the thief's.

        Raises:
            InputError: if there are too few triggers for so many keys.
        """
        name = f"marked-{cell.family}-{cell.alignment}-{cell.seed}" + (f"-{recipient}" if recipient else "")
        folder, releases, triggers = self.part("own"), list[BoundRelease](), set[str]()
        keys = self.setting.keys
        for number in range(_TRIES * keys):
            seed = cell.seed + (number << _STEP) + (recipient << _RECIPIENT)
            target = self.work / (name + (f"-key{number}" if number else ""))
            if triggers and not target.exists() and triggers & self._triggers(cell, folder, target, seed):
                continue
            release = protected_copy(folder, target, self.setting.options(cell), seed, self.keyring, self.progress)
            releases, folder = [*releases, bind(release, self.keyring.store)], target
            if len(releases) == keys:
                return MarkedCopy(folder, tuple(releases))
            triggers |= _named(releases[-1])
        raise InputError(
            f"only {len(releases)} of {keys} keys have triggers of their own", "Use fewer --keys or --slots."
        )

    def _triggers(self, cell: Cell, folder: Path, target: Path, seed: int) -> set[str]:
        """The triggers that a key would have; nothing is written."""
        secret = secret_from_seed(seed, "rehearsal")
        drawn = embed(folder, target, self.setting.options(cell), self.keyring, secret=secret, dry_run=True)
        return _named(drawn.bound)


def _named(release: BoundRelease) -> set[str]:
    """The triggers of a release that are words."""
    return {slot.trigger for slot in release.slots} - {""}


def _borrow(store: Store, own: Store, options: FamilyOptions) -> None:
    """Copy the pools and bases that options name from the owner's store into the workshop's."""
    for kind, folder in KINDS.items():
        name = options.get(kind)
        target = own.folder / folder / f"{name}.npz"
        if name is None or target.exists():
            continue
        source = store.folder / folder / target.name
        if not source.exists():
            raise InputError(f"there is no {kind} {name!r} in {source.parent}", f"Make one: protect {kind}.")
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(target, source.read_bytes(), mode=0o600)
