"""Copies written by processes are those that threads write."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from protect.embed.write import embed
from protect.execution.engine import Threads
from protect.execution.processes import Processes
from protect.formats import open_dataset
from protect.formats.record import Record, SetAside
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.progress import Progress, no_progress
from tests.protect.embed import test_forms as forms
from tests.support.datasets import contents, make_classes


class _AlwaysProcesses(Processes):
    """However little there is to do."""

    worth = 0.0


def _written(source: Path, place: Path, progress: Progress = no_progress, workers: int = 1) -> dict[str, bytes]:
    place.mkdir(exist_ok=True)
    engine = _AlwaysProcesses(workers) if workers > 1 else Threads(1)
    home, secret = Keyring(place / "home"), secret_from_seed(1, "test")
    embed(source, place / "out", forms.QUICK, home, secret=secret, progress=progress, engine=engine)
    return contents(place / "out")


@pytest.mark.parametrize("form", [forms.jsonl, pytest.param(forms.shards, marks=pytest.mark.slow)])
def test_any_number_of_workers_writes_the_same_also_after_a_kill(tmp_path: Path, form: Callable[[Path], Path]) -> None:
    class Killed(BaseException):
        pass

    def die(stage: str, done: int, total: int) -> None:
        if stage == "writing" and done >= 2:
            raise Killed

    source = form(tmp_path)
    wanted = _written(source, tmp_path / "one")
    with pytest.raises(Killed):
        _written(source, tmp_path / "two", die, workers=2)
    assert _written(source, tmp_path / "two", workers=3) == wanted


@pytest.mark.parametrize(
    "form",
    [
        forms.csv,
        forms.sidecars,
        forms.one_packed_tar,
        forms.parquet_folder,
        forms.coco,
        lambda place: make_classes(place / "set"),
    ],
)
def test_shards_of_every_form_cross_processes(tmp_path: Path, form: Callable[[Path], Path]) -> None:
    shards = open_dataset(form(tmp_path)).shards
    crossed = pickle.loads(pickle.dumps(shards))

    assert [shard.name for shard in crossed] == [shard.name for shard in shards]
    for here, there in zip(shards, crossed, strict=True):
        assert list(map(_read, here.scan())) == list(map(_read, there.scan()))


def _read(found: Record | SetAside) -> object:
    return (found.key, dict(found.captions), found.read()) if isinstance(found, Record) else found
