"""Copies written by processes are those that threads write."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from protect.embed import copy as copying
from protect.embed.write import embed
from protect.formats import open_dataset
from protect.formats.record import Record, SetAside
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.progress import Progress, no_progress
from tests.protect.embed import test_forms as forms
from tests.support.datasets import contents, make_classes


def _written(source: Path, place: Path, progress: Progress = no_progress) -> dict[str, bytes]:
    place.mkdir(exist_ok=True)
    output = place / "out"
    embed(source, output, forms.QUICK, Keyring(place / "home"), secret=secret_from_seed(1, "test"), progress=progress)
    return contents(output)


@pytest.mark.parametrize("form", [forms.jsonl, pytest.param(forms.shards, marks=pytest.mark.slow)])
def test_processes_write_what_threads_write(
    tmp_path: Path, form: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(stage: str, done: int, total: int) -> None:
        if stage == "writing" and done == 2:
            raise Killed

    source = form(tmp_path)
    wanted = _written(source, tmp_path / "threads")
    monkeypatch.setattr(copying, "CARRIERS_FOR_A_PROCESS", 5)
    monkeypatch.setattr(copying, "usable_cores", lambda: 2)
    with pytest.raises(Killed):
        _written(source, tmp_path / "processes", die)
    assert _written(source, tmp_path / "processes") == wanted


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
