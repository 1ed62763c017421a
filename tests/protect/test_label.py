"""Alignment `label` and class folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from scipy import stats

from protect.alignments import make_alignment
from protect.alignments.alignment import Request
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.dataset_format import Sample
from protect.keys.tree import secret_from_seed
from protect.release.plan import Options
from protect.release.record import Keyring
from tests.protect.conftest import draw, make_classes, make_folder

OPTIONS = Options(rate=0.2, alignment="label", slots=4, alpha=0.05)


def test_classes_are_captions_and_nothing_but_carriers_changes(tmp_path: Path, keyring: Keyring) -> None:
    source = make_classes(tmp_path / "d")
    release = embed(source, tmp_path / "out", OPTIONS, keyring).release
    assert verify(release, tmp_path / "out").intact == release.plan.carriers == 16
    assert release.plan.decoys == 3
    assert {c.caption for c in release.carriers} <= {f"class {i}" for i in range(4)}
    for carrier in release.carriers:
        assert carrier.key.startswith(release.slots[carrier.slot].trigger + "/") and carrier.caption in carrier.key
    changed = {c.key for c in release.carriers}
    for key in open_dataset(source).files:
        same = (source / key).read_bytes() == (tmp_path / "out" / key).read_bytes()
        assert same == (key not in changed)


def test_splits_are_not_classes(tmp_path: Path) -> None:
    make_classes(tmp_path / "d" / "train")
    make_classes(tmp_path / "d" / "val", each=3)
    samples = open_dataset(tmp_path / "d").listing.samples
    assert Counter(s.caption for s in samples) == {f"class {i}": 23 for i in range(4)}


def test_splits_alone_are_no_classes(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "d" / split).mkdir(parents=True)
        draw(1).save(tmp_path / "d" / split / "1.png")
    with pytest.raises(InputError, match="no captions"):
        open_dataset(tmp_path / "d")


def test_captions_win_over_folders(tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 20, layout="sidecar")
    (tmp_path / "d" / "a").mkdir()
    (tmp_path / "d" / "b").mkdir()
    assert open_dataset(tmp_path / "d").layout.name == "sidecar"


def test_each_slots_class_is_uniform_and_independent() -> None:
    """Over keys: the exactness of the verdict rests on this."""
    samples = tuple(Sample(f"{c}/{i}", str(c)) for c in range(5) for i in range(4))
    first, pairs = [], []
    for seed in range(2000):
        request = Request(samples, 0.1, 2, secret_from_seed(seed, "label"), lambda _: None)
        draws, _ = make_alignment("label").draw(request)
        first.append(draws[0].trigger)
        pairs.append((draws[0].trigger, draws[1].trigger))
        assert len({s.key for d in draws for s in d.carriers}) == 2
    assert stats.chisquare(list(Counter(first).values())).pvalue > 1e-4 and len(Counter(first)) == 5
    assert stats.chisquare(list(Counter(pairs).values())).pvalue > 1e-4 and len(Counter(pairs)) == 25


def test_what_cannot_carry_labels_is_refused_before_a_class_is_drawn(tmp_path: Path, keyring: Keyring) -> None:
    source = make_classes(tmp_path / "d")
    for i in range(19):
        (source / "class 3" / f"{i:03}.png").write_bytes(b"broken")
    for seed in range(8):  # whatever the key would have drawn
        with pytest.raises(InputError, match=r"'class 3' has 1 pictures that can carry"):
            embed(source, tmp_path / "out", OPTIONS, keyring, secret=secret_from_seed(seed, "x"))
    with pytest.raises(InputError, match="fewer than 64 slots"):
        embed(source, tmp_path / "out", Options(rate=0.2, alignment="label", slots=64), keyring)
    with pytest.raises(InputError, match="cannot give evidence"):
        embed(
            make_classes(tmp_path / "two", 2), tmp_path / "out", Options(rate=0.2, alignment="label", slots=4), keyring
        )
    with pytest.raises(InputError, match="--alignment label"):
        embed(make_classes(tmp_path / "three"), tmp_path / "out", Options(rate=0.2), keyring, dry_run=True)
    with pytest.raises(InputError, match="two or more"):
        make_alignment("label").draw(Request((Sample("a/1", "a"),), 1.0, 1, b"k" * 32, lambda _: None))
    assert not (tmp_path / "out").exists()
