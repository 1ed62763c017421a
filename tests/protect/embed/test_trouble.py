"""What goes wrong around a run: it is killed, its workers die, its shards change or break, its disk is full."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protect.commands import protect_app
from protect.console import SET_ASIDE
from protect.embed import copy as copying
from protect.embed.copy import Copying
from protect.embed.pending import Pending
from protect.embed.render import Planting
from protect.embed.write import embed
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine, Threads, make_engine
from protect.execution.processes import CONTEXT, Processes
from protect.formats import open_dataset
from protect.formats.dataset_format import Dataset, Edits, Shard
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.progress import no_progress
from protect.release.plan import Options
from tests.protect.embed import test_forms as forms
from tests.support.datasets import contents, make_folder

SECRET = secret_from_seed(7, "trouble")
PAINTED = Options(rate=0.1, family="template", alignment="twa", decoys=99, alpha=0.05)


class _AlwaysProcesses(Processes):
    """However little there is to do."""

    worth = 0.0


def _run(source: Path, place: Path, workers: int = 1) -> None:
    """Write a copy; with no workers at all on a cluster."""
    engine: Engine = _AlwaysProcesses(workers) if workers > 1 else Threads(1) if workers else make_engine("ray", 2)
    embed(source, place / "out", PAINTED, Keyring(place / "home"), secret=SECRET, engine=engine)


def _killed_at(seconds: float, source: Path, place: Path, workers: int) -> bool:
    """Whether a run in a process of its own was killed, so many seconds after it began."""
    CONTEXT.set_forkserver_preload(["protect.embed.copy", "tests.protect.embed.test_trouble"])
    process = CONTEXT.Process(target=_run, args=(source, place, workers))
    process.start()
    process.join(seconds)
    if process.is_alive() and process.pid:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode != 0


def all_but_locks(folder: Path) -> dict[str, bytes]:
    """Locks are called by the place of their output."""
    return {name: data for name, data in contents(folder).items() if "/locks/" not in name}


def survives(source: Path, place: Path, kills: int, workers: int) -> None:
    """Kill runs at random moments until one ends; again until so many were killed. All end with the same bytes."""
    wanted = place / "wanted"
    wanted.mkdir(parents=True)
    start = time.monotonic()
    assert not _killed_at(600, source, wanted, workers)
    usual, expected = time.monotonic() - start, all_but_locks(wanted)
    rng, killed, round_number = random.Random(kills), 0, 0
    while killed < kills:
        round_number += 1
        here = place / f"round-{round_number}"
        here.mkdir()
        while not (here / "out").exists():
            killed += _killed_at(rng.uniform(0, usual) if killed < kills else 600, source, here, workers)
        found = all_but_locks(here)
        # Killed when all was done but to forget the run: that is made up for by the next run into this output.
        left = {name for name in found if name.startswith("home/pending/")}
        assert {name: data for name, data in found.items() if name not in left} == expected


@pytest.mark.parametrize(("form", "workers"), [(lambda place: make_folder(place / "set", 60), 1), (forms.shards, 2)])
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    tmp_path: Path, form: Callable[[Path], Path], workers: int
) -> None:
    survives(form(tmp_path), tmp_path / "runs", 5, workers)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("form", [forms.jsonl, forms.sidecars, forms.shards, forms.parquet_folder])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_kills(tmp_path: Path, form: Callable[[Path], Path], workers: int) -> None:
    survives(form(tmp_path), tmp_path / "runs", 13, workers)


class _Deadly(Shard):
    """A shard that kills whoever marks it."""

    def __init__(self, real: Shard, marker: Path | None) -> None:
        self.name, self.size, self.scanning, self._real, self._marker = real.name, real.size, 1.0, real, marker

    def scan(self) -> object:  # type: ignore[override]
        return self._real.scan()

    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        if isinstance(edits, Planting) and not (self._marker and self._marker.exists()):
            if self._marker:
                self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self._real.write(target, edits, link=link)


class _WithDeadly(Dataset):
    def __init__(self, real: Dataset, number: int, marker: Path | None) -> None:
        self.format, self.root, self.options, self.columns = real.format, real.root, real.options, real.columns
        shards = list(real.shards)
        shards[number] = _Deadly(shards[number], marker)
        self._shards = tuple(shards)

    @property
    def shards(self) -> tuple[Shard, ...]:
        return self._shards


def _copy_with(source: Path, place: Path, marker: Path | None) -> tuple[object, list[str]]:
    keyring, output = Keyring(place / "home"), place / "out"
    done = embed(source, output, replace(PAINTED, rate=0.5), keyring, secret=SECRET, dry_run=True)
    pending = Pending.of(keyring, output)
    pending.save(done.release)
    dataset = _WithDeadly(open_dataset(source), 1, marker)
    copy = Copying(dataset, pending, MemoryBudget(), _AlwaysProcesses(2), no_progress, False)
    bound, failed = copy.write(done.bound, done.chosen)
    return bound.release.carriers, [aside.reason for aside in failed]


def test_a_worker_that_is_killed_once_costs_nothing(tmp_path: Path) -> None:
    source = forms.shards(tmp_path)
    (tmp_path / "a").mkdir()
    carriers, failed = _copy_with(source, tmp_path / "a", tmp_path / "killed")
    assert not failed and len(carriers) == forms.COUNT // 2 and (tmp_path / "killed").exists()  # type: ignore[arg-type]


def test_a_shard_that_kills_its_worker_twice_is_set_aside_and_the_rest_is_done(tmp_path: Path) -> None:
    source = forms.shards(tmp_path)
    (tmp_path / "a").mkdir()
    carriers, failed = _copy_with(source, tmp_path / "a", None)
    assert failed == ["could not be marked: its worker ended without a word, twice; copied as it is"]
    assert 0 < len(carriers) < forms.COUNT // 2  # type: ignore[arg-type]
    names = sorted(path.name for path in source.iterdir() if path.suffix == ".tar")
    unchanged = [n for n in names if (tmp_path / "a" / "out.partial" / n).read_bytes() == (source / n).read_bytes()]
    assert len(unchanged) == 1


def test_the_command_ends_with_5_after_a_shard_failed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = Planting.picture, list[str]()

    def fail(self: Planting, key: str, read: object) -> bytes | None:
        if key in self.chosen and key.startswith("00002/"):
            tries.append(key)
            raise OSError(errno.EIO, "Input/output error")
        return real(self, key, read)  # type: ignore[arg-type]

    monkeypatch.setattr(Planting, "picture", fail)
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    source, output = forms.shards(tmp_path), tmp_path / "out"
    options = ("--family", "template", "--alignment", "twa", "--rate", "10%", "--workers", "1", "--anyway", "--json")
    done = CliRunner().invoke(
        protect_app, ["embed", str(source), "-o", str(output), *options], standalone_mode=False, catch_exceptions=False
    )
    assert done.return_value == SET_ASIDE, done.output
    assert len(tries) == 2
    said = json.loads(done.stdout)
    assert said["set_aside_count"] == 1 and "twice (Input/output error)" in str(said["set_aside"])
    before, after = contents(source), contents(output)
    assert before["00002.tar"] == after["00002.tar"]
    assert all(before[f"{shard:05}.tar"] != after[f"{shard:05}.tar"] for shard in (0, 1, 3))


def test_a_shard_that_changes_after_it_was_read_is_copied_and_told(tmp_path: Path, keyring: Keyring) -> None:
    source = forms.shards(tmp_path)
    tar = sorted(source.glob("*.tar"))[1]

    def spoil(stage: str, done: int, total: int) -> None:
        if stage == "looking at pictures" and not spoilt:
            spoilt.append(tar.read_bytes())
            tar.write_bytes(spoilt[0] + bytes(1024))

    spoilt: list[bytes] = []
    done = embed(
        source, tmp_path / "out", replace(PAINTED, rate=0.3), keyring, secret=SECRET, progress=spoil, engine=Threads(1)
    )
    (aside,) = [one for one in done.set_aside if "changed" in one.reason]
    assert (aside.key, aside.reason) == (tar.name, "changed since it was read; copied as it is")
    assert (tmp_path / "out" / tar.name).read_bytes() == tar.read_bytes() and done.set_aside_count >= 1
    assert not [c for c in done.release.carriers if c.key.startswith(tar.stem + "/")]


def test_a_sample_that_is_lost_is_told(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 40)

    def lose(stage: str, done: int, total: int) -> None:
        if stage == "writing" and done == total:
            kept = {carrier.key for carrier in open_carriers()}
            path = next(p for p in sorted((tmp_path / "out.partial").glob("*.png")) if p.name not in kept)
            path.unlink()

    def open_carriers() -> list[object]:
        return [type("K", (), {"key": key}) for key in chosen]

    dry = embed(source, tmp_path / "out", PAINTED, keyring, secret=SECRET, dry_run=True)
    chosen = [r.key for r in open_dataset(source).records() if r.key in dry.chosen]
    with pytest.raises(InputError, match="the copy holds 39 samples, and the dataset 40"):
        embed(source, tmp_path / "out", PAINTED, keyring, secret=SECRET, progress=lose)
    done = embed(source, tmp_path / "out", PAINTED, keyring, secret=SECRET)
    assert len(list(done.output.glob("*.png"))) == 40


class _FullDisk(copying._Writer):
    """A worker on a full disk."""

    def __call__(self, number: int) -> object:  # type: ignore[override]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")


def test_a_full_disk_is_told_by_workers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = forms.shards(tmp_path)
    monkeypatch.setattr(copying, "_Writer", _FullDisk)
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="is full") as refusal:
        _run(source, tmp_path / "a", workers=2)
    assert "repeat: the run resumes" in refusal.value.advice
    monkeypatch.undo()
    _run(source, tmp_path / "a", workers=2)
    assert (tmp_path / "a" / "out").is_dir()
