from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from protect.errors import InputError
from protect.execution.processes import Processes
from protect.formats import open_dataset
from protect.formats.dataset_format import Dataset, ReadOptions, Shard
from protect.formats.record import Record, SetAside
from protect.formats.survey import LISTED, key_may_change, may_change, survey
from protect.formats.webdataset import LOOKED_AT
from tests.support.datasets import make_classes, make_folder
from tests.support.shards import make_tars, sample, write_tar


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


class _AlwaysProcesses(Processes):
    """However little there is to read."""

    worth = 0.0


@pytest.mark.parametrize("form", ["table", "tars", "sidecars"])
def test_shards_read_by_workers_are_counted_as_those_read_here(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "d"
    if form == "tars":
        make_tars(folder, 3, 20)
        write_tar(folder / "00009.tar", [("x.jpg", b"no caption")])
    else:
        make_folder(folder, 30, "sidecar" if form == "sidecars" else "metadata.jsonl")
        (folder / "stray.png").write_bytes((folder / "picture 003.png").read_bytes())
    options = ReadOptions(only=("*[02468]*",), exclude=("*7*", "nothing"))
    here, there = open_dataset(folder, options), open_dataset(folder, options)
    found = survey(here)
    assert survey(there, engine=_AlwaysProcesses(2)) == found and found.set_aside == 1 and found.unused
    assert (here.columns and here.columns.met) == (there.columns and there.columns.met)


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
    with pytest.raises(InputError) as refusal:
        survey(open_dataset(folder))
    assert r"'caf\xe9.png' (metadata.jsonl, line 1) and 'cafe\u0301.png' (metadata.jsonl, line 2)" in refusal.value.what
    (folder / "metadata.jsonl").unlink()
    for name in names:
        (folder / name).with_suffix(".txt").write_text(f"a box {len(name)}", encoding="utf-8")
    found = list(open_dataset(folder).scan())
    assert {one.key: one.reason for one in found if isinstance(one, SetAside)} == {
        one: rf"there is another picture of this name in another Unicode spelling: {one!a} and {other!a}"
        for one, other in (names, names[::-1])
    }


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


def _table(folder: Path) -> Path:
    """The third list of captions has two entries, the others fewer."""
    make_folder(folder, 3)
    rows = [{"file_name": f"picture 00{i}.png", "text": f"box {i}", "captions": ["a"] * i} for i in range(3)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def _sidecars(folder: Path) -> Path:
    """Only the last picture has more than a `.txt`."""
    make_folder(folder, 3, "sidecar")
    (folder / "picture 002.caption").write_text("a box\nof red")
    (folder / "picture 002.json").write_text('{"caption": "a box", "title": "red"}')
    return folder


_FORMS = {
    "table": (_table, ("text", "captions", "captions[1]", "file_name"), ("captoin", "captions[2]")),
    "sidecars": (_sidecars, (".txt", ".caption:2", ".json:caption", "title"), (".captions", ".txt:2")),
    "archive": (lambda folder: make_tars(folder, 1, 3), ("txt", ".json:caption", "caption"), ("captoin", "txt2")),
    "classes": (make_classes, ("class",), ("text",)),
}
INSIDE = ("exif:ImageDescription", "png:anything", "iptc:caption", "jpeg:comment")
"""Picture files may have texts of these names: whether they do is seen when carriers are looked at."""


def test_a_member_that_is_left_alone_may_come_late_and_be_no_caption(tmp_path: Path) -> None:
    """Only captions are read of all samples."""
    many = [member for i in range(LOOKED_AT + 1) for member in sample(f"{i:04}", i)]
    write_tar(tmp_path / "d" / "0.tar", [*many, *sample("late", 0), ("late.words", b"a box")])
    assert survey(open_dataset(tmp_path / "d", ReadOptions(leave_captions=("words",)))).samples == LOOKED_AT + 2
    with pytest.raises(InputError, match="--leave-captions word names no field"):
        survey(open_dataset(tmp_path / "d", ReadOptions(leave_captions=("word",))))


@pytest.mark.parametrize(("make", "known", "unknown"), _FORMS.values(), ids=_FORMS)
def test_fields_that_stay_as_they_are_must_exist(
    tmp_path: Path, make: Callable[[Path], Path], known: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    folder = make(tmp_path / "d")
    assert survey(open_dataset(folder, ReadOptions(leave_captions=(known[0], *INSIDE)))) is not None
    for name in known[1:]:
        assert survey(open_dataset(folder, ReadOptions(leave_captions=(name,)))).samples >= 3
    for name in (*unknown, "exif:Description", "png:"):
        with pytest.raises(InputError) as refusal:
            survey(open_dataset(folder, ReadOptions(leave_captions=(known[1 % len(known)], name))))
        what, advice = str(refusal.value).split("\n")
        assert what.startswith(f"--leave-captions {name} names no field of") and "exif:ImageDescription" in advice
        listed = what.partition("text fields: ")[2].split(", ")
        assert known[0].removeprefix(".") in [one.removeprefix(".") for one in listed]
