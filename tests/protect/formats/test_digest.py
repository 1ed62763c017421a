"""The digest of a dataset."""

from __future__ import annotations

from protect.formats.digest import DatasetDigest
from protect.formats.record import Record


def test_which_caption_comes_first_is_committed_to() -> None:
    """Questions are made from the first caption: to turn the fields of a row round would be a salt."""

    def digest(captions: dict[str, str]) -> str:
        found = DatasetDigest()
        found.add(Record("a.png", captions, lambda: b""))
        return found.hexdigest()

    assert digest({"text": "a kite", "title": "sky"}) != digest({"title": "sky", "text": "a kite"})
