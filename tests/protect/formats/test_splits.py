from __future__ import annotations

import pytest
from datasets.data_files import DEFAULT_PATTERNS_SPLIT_IN_DIR_NAME, DEFAULT_PATTERNS_SPLIT_IN_FILENAME
from fsspec.implementations.memory import MemoryFileSystem

from protect.formats.splits import canonical, is_split_folder, split_of

TRAIN = ["a.png", "cats/a.png", "train/a.png", "training/a.png", "data/train/cat/a.png", "train2017/a.png"]
TRAIN += ["train-00000-of-00002.parquet", "metadata_train.jsonl", "contest/a.png", "latest.png", "value/a.png"]
TRAIN += ["train/cat/latest.png", "training-set/a.png", "devices/a.png", "detrain/b.png"]
VALIDATION = ["validation/a.png", "valid/a.png", "val/a.png", "dev/a.png", "Val/a.png", "val2017/1.jpg"]
VALIDATION += ["data/dev/cat/a.png", "validation-00000.tar", "my val/a.png", "metadata_val.csv", "cats/valid/x.png"]
TEST = ["test/a.png", "testing/a.png", "eval/a.png", "evaluation/a.png", "test-00000.tar", "test_1.png", "TEST/a.png"]
TEST += ["data/test/cat/a.png", "test-A/a.png", "images/test_set/a.png"]


@pytest.mark.parametrize("path", TRAIN)
def test_train(path: str) -> None:
    assert split_of(path) == "train"


@pytest.mark.parametrize("path", VALIDATION)
def test_validation(path: str) -> None:
    assert split_of(path) == "validation"


@pytest.mark.parametrize("path", TEST)
def test_test(path: str) -> None:
    assert split_of(path) == "test"


def test_what_is_both_is_held_out() -> None:
    assert split_of("train/test/a.png") == "test"
    assert split_of("val/train/a.png") == "validation"


def test_folders_say_more_than_files() -> None:
    assert split_of("train/cat/test 1.png") == "train"


def test_names_of_splits() -> None:
    assert [canonical(name) for name in ("Val", "dev", "train", "eval", "restval")] == [
        *("validation", "validation", "train", "test", "restval")
    ]
    assert is_split_folder("test_1") and not is_split_folder("test tubes")


def _by_library(path: str) -> set[str]:
    """Splits that `datasets` sees: by folders first, else by the file's name."""
    memory = MemoryFileSystem()
    memory.store.clear()
    memory.pipe("/" + path, b"x")
    for default in (DEFAULT_PATTERNS_SPLIT_IN_DIR_NAME, DEFAULT_PATTERNS_SPLIT_IN_FILENAME):
        globs = [(str(split), f"/{pattern}") for split, patterns in default.items() for pattern in patterns]
        if found := {split for split, glob in globs if memory.glob(glob)}:
            return found
    return set()


def test_the_library_agrees() -> None:
    paths = (*TRAIN, *VALIDATION, *TEST)
    found = {path: split for path in paths if (split := _by_library(path))}
    assert len(found) > 25
    assert found == {path: {split_of(path)} for path in found}
