from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.dataset_format import Dataset, ReadOptions, Shard
from protect.formats.record import Record, SetAside
from protect.formats.survey import LISTED, key_may_change, may_change, survey
from tests.support.datasets import make_folder


class _Counted(Dataset):
    """Any number of samples, none of them kept."""

    def __init__(self, count: int, aside: int = 0, order: Sequence[int] | None = None, again: str = "") -> None:
        self.format, self.root, self.options = "counted", Path(), ReadOptions()
        self._count, self._aside, self._order, self._again = count, aside, order, again

    @property
    def shards(self) -> Sequence[Shard]:
        return ()

    def scan(self) -> Iterator[Record | SetAside]:
        for i in self._order or range(self._count):
            yield Record(f"{i}.png", {"text": f"box {i}"}, bytes, where=f"line {i}")
        for i in range(self._aside):
            yield SetAside(f"x{i}.png", "no caption")
        if self._again:
            yield Record(self._again, {"text": "again"}, bytes, where="the end")


def test_what_a_dataset_holds(tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    found = survey(_Counted(2500, 1500), lambda *told: stages.append(told))
    assert (found.samples, found.set_aside, found.changeable) == (2500, 1500, 2500)
    assert len(found.first_set_aside) == LISTED and found.longest_caption == "box 1000"
    assert [done for _, done, _ in stages] == [1000, 2000, 3000, 4000]


def test_the_digest_is_free_of_order_and_of_nothing_else() -> None:
    order = random.Random(0).sample(range(50), 50)
    assert survey(_Counted(50, order=order)).digest == survey(_Counted(50)).digest
    assert survey(_Counted(50, order=order[1:])).digest != survey(_Counted(50)).digest
    assert survey(_Counted(50, 3)).digest == survey(_Counted(50)).digest


@pytest.mark.parametrize("again", ["7.png", "7\u002epng"])
def test_keys_twice_are_refused_with_both_places(again: str) -> None:
    with pytest.raises(InputError, match=r"two samples are called '7.png': line 7 and the end"):
        survey(_Counted(50, again=again))


def test_two_spellings_of_one_key_are_one_key(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2)
    names = ["caf\u00e9.png", "cafe\u0301.png"]
    for i, name in enumerate(names):
        (folder / f"picture 00{i}.png").rename(folder / name)
    rows = [json.dumps({"file_name": name, "text": f"box {i}"}) for i, name in enumerate(names)]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    with pytest.raises(InputError, match=r"line 1 and metadata.jsonl, line 2"):
        survey(open_dataset(folder))


def test_memory_does_not_grow_with_the_dataset() -> None:
    peaks = []
    for count in (2_000, 20_000):
        tracemalloc.start()
        survey(_Counted(count, count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 40 * 18_000  # hashes, and a sorted copy of them


def test_what_may_change() -> None:
    record = Record("train/cafe\u0301.png", {"text": "a"}, bytes)
    held_out = Record("a.png", {"text": "a"}, bytes, split="validation")
    assert may_change(record, ReadOptions()) and not may_change(held_out, ReadOptions())
    assert may_change(held_out, ReadOptions(splits=("val",))) and may_change(held_out, ReadOptions(splits=("all",)))
    assert may_change(record, ReadOptions(only=("*/caf\u00e9.*",)))
    assert not may_change(record, ReadOptions(only=("train/x*", "val/*")))
    assert not may_change(record, ReadOptions(exclude=("train/*",)))
    assert not may_change(record, ReadOptions(only=("*",), exclude=("*.png",)))
    assert key_may_change("a.png", ReadOptions(only=("a*",))) and not key_may_change("A.png", ReadOptions(only=("a*",)))
