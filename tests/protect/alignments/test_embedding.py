"""Alignments in whole releases: what `embed` writes and `verify` reads back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from protect.embed.verify import verify
from protect.embed.write import Embedding, embed
from protect.errors import InputError
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.plan import Options
from tests.support.alignments import WITH_WORDS
from tests.support.datasets import make_classes, make_folder, recaption, varied_captions

SECRET = secret_from_seed(3, "test")
DESCRIBING = ("twa-description", "twa-double")
LABELS = Options(rate=0.2, alignment="label", slots=4, alpha=0.05)


def _options(name: str) -> Options:
    return Options(rate=0.2, alignment=name, slots=None if name == "unconditional" else 2, decoys=99, alpha=0.05)


def _embedded(folder: Path, options: Options, *, dry_run: bool = False) -> Embedding:
    source = folder / "d"
    if not source.exists():
        recaption(make_folder(source, 70), varied_captions(70))
    return embed(source, folder / "out", options, Keyring(folder / "home"), secret=SECRET, dry_run=dry_run)


@pytest.mark.parametrize("name", WITH_WORDS)
def test_every_alignment_embeds_and_verifies(tmp_path: Path, name: str) -> None:
    done = _embedded(tmp_path, _options(name))
    found = verify(done.bound, open_dataset(tmp_path / "out"))
    assert found.intact == found.carriers == len(done.release.carriers) > 0
    untouched = (tmp_path / "d" / "metadata.jsonl").read_bytes() == (tmp_path / "out" / "metadata.jsonl").read_bytes()
    assert untouched == (name in {"waa", "unconditional"})
    for carrier in done.release.carriers:
        parts = done.bound.slots[carrier.slots[0]].trigger.split(" … ")
        (caption,) = carrier.captions.values()
        assert all(part in caption for part in parts)
        assert name not in DESCRIBING or caption.endswith(f" {parts[-1]}")


@pytest.mark.parametrize("layout", ["metadata.jsonl", "metadata.csv", "sidecar"])
@pytest.mark.parametrize("name", ["waa", "unconditional"])
def test_alignments_without_words_leave_caption_files_alone(tmp_path: Path, layout: str, name: str) -> None:
    """Even where captions end in blanks: a row written anew would point at its carrier."""
    source = make_folder(tmp_path / "d", 40, layout)
    for path in source.glob("*.txt" if layout == "sidecar" else "metadata.*"):
        text = path.read_text(encoding="utf-8").replace("盒子", "盒子 kite" if "1" in path.name else "盒子 kite ")
        path.write_text(text.replace("”", "” "), encoding="utf-8")
    _embedded(tmp_path, replace(_options(name), rate=1.0 if name == "waa" else 0.2, slots=1))
    for path in source.glob("*.txt" if layout == "sidecar" else "metadata.*"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", WITH_WORDS)
@pytest.mark.parametrize("family", ["template", "card", "spread", "tint", "warp"])
def test_every_pair_embeds_or_is_refused_in_two_lines(tmp_path: Path, family: str, name: str) -> None:
    options = replace(_options(name), family=family, slots=1)
    unfit = {("warp", "unconditional"), *((f, a) for f in ("spread", "tint", "warp") for a in DESCRIBING)}
    if (family, name) in unfit:
        with pytest.raises(InputError):
            _embedded(tmp_path, options, dry_run=True)
    else:
        assert sum(len(draw.carriers) for draw in _embedded(tmp_path, options, dry_run=True).selection.slots) > 0


def test_classes_are_captions_and_nothing_but_carriers_changes(tmp_path: Path) -> None:
    source = make_classes(tmp_path / "d")
    done = _embedded(tmp_path, LABELS)
    assert verify(done.bound, open_dataset(tmp_path / "out")).intact == len(done.release.carriers) == 16
    assert done.release.plan.decoys == 3
    for carrier in done.release.carriers:
        assert carrier.key.startswith(done.bound.slots[carrier.slots[0]].trigger + "/")
        assert set(carrier.captions.values()) == {done.bound.slots[carrier.slots[0]].trigger}
    changed = {carrier.key for carrier in done.release.carriers}
    for record in open_dataset(source).records():
        same = (source / record.key).read_bytes() == (tmp_path / "out" / record.key).read_bytes()
        assert same == (record.key not in changed)


def test_splits_are_not_classes(tmp_path: Path) -> None:
    make_classes(tmp_path / "d" / "train")
    make_classes(tmp_path / "d" / "val", each=3)
    records = list(open_dataset(tmp_path / "d").records())
    assert Counter(r.caption for r in records) == {f"class {i}": 23 for i in range(4)}


def test_what_cannot_carry_labels_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    source = make_classes(tmp_path / "d")
    for i in range(19):
        (source / "class 3" / f"{i:03}.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"'class 3' has 1 pictures that can carry"):
        _embedded(tmp_path, LABELS)
    with pytest.raises(InputError, match="fewer than 64 slots"):
        _embedded(tmp_path, replace(LABELS, slots=64))
    with pytest.raises(InputError, match="--alignment label"):
        _embedded(tmp_path, Options(rate=0.2), dry_run=True)
    make_classes(tmp_path / "two" / "d", 2)
    with pytest.raises(InputError, match="cannot give evidence"):
        _embedded(tmp_path / "two", LABELS)
    assert not (tmp_path / "out").exists()
