"""Names of splits, as the library `datasets` knows them."""

from __future__ import annotations

import re
from functools import lru_cache

from protect.formats.record import TRAIN

VALIDATION = "validation"
TEST = "test"

_WORDS = {
    TEST: ("test", "testing", "eval", "evaluation"),
    VALIDATION: ("validation", "valid", "dev", "val"),
    TRAIN: ("train", "training"),
}
_SPLITS = {word: split for split, words in _WORDS.items() for word in words}
_EDGE = r"[-._ 0-9]"
_NAMED = {
    split: re.compile(rf"(?:^|{_EDGE})(?:{'|'.join(words)})(?:$|{_EDGE})", re.IGNORECASE)
    for split, words in _WORDS.items()
}


def canonical(name: str) -> str:
    """A split by its usual name; any other name stays as it is.

    >>> canonical("val"), canonical("restval")
    ('validation', 'restval')
    """
    return _SPLITS.get(name.strip().lower(), name)


def split_of(path: str) -> str:
    """Split of a file: what a folder's name says anywhere on the way, else a part of the file's own name, else train.

    What says both is held out: pictures that may serve as a test are never carriers unasked.

    >>> split_of("data/train/cat/1.png"), split_of("val2017/1.png"), split_of("test-00000.tar"), split_of("tests/a.png")
    ('train', 'validation', 'test', 'train')
    """
    *folders, file = path.split("/")
    return named_split(*folders) or named_split(file) or TRAIN


@lru_cache(maxsize=1024)
def named_split(*names: str) -> str | None:
    """The split that names of folders or files speak of; None if they speak of none."""
    return next((split for split, found in _NAMED.items() if any(map(found.search, names))), None)


def is_split_folder(name: str) -> bool:
    """Whether a folder's name speaks of a split and of nothing else.

    >>> is_split_folder("train2017"), is_split_folder("train station"), is_split_folder("10")
    (True, False, False)
    """
    words = [word for word in re.split(f"{_EDGE}+", name.lower()) if word]
    return bool(words) and all(word in _SPLITS for word in words)
