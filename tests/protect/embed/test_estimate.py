"""What a copy will cost, told from a few shards."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from protect.embed import estimate as estimating
from protect.embed.estimate import Estimate, estimate, is_large
from protect.embed.estimate_text import estimate_json, estimate_text
from protect.embed.expectation import USUAL
from protect.embed.write import embed
from protect.errors import InputError
from protect.execution.engine import Threads
from protect.formats import open_dataset, sampled
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.formats.sampled import sample_of
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.plan import Options
from tests.support.datasets import draw, make_folder, recaption, varied_captions
from tests.support.lean_releases import WORDING, with_list
from tests.support.leaning import make_varied_folder, sayable_captions
from tests.support.shards import sample, write_tar

PAINTED = Options(rate=0.1, family="template", alignment="twa", decoys=99, alpha=0.05)


def _told(folder: Path, options: Options, keyring: Keyring, reading: ReadOptions = AS_IT_IS) -> Estimate:
    found = estimate(
        folder, folder.parent / "out", options, keyring, reading=reading, expectation=USUAL, engine=Threads(2)
    )
    assert found is not None
    return found


def _tars(folder: Path, shards: int, each: int) -> Path:
    for shard in range(shards):
        samples = ((f"{i:06}", draw(i, 32), f"a box numbered {i}") for i in range(shard * each, (shard + 1) * each))
        members = [(name, body) for key, image, text in samples for name, body in _members(key, image, text)]
        write_tar(folder / f"{shard:05}.tar", members)
    return folder


def _members(key: str, image: Image.Image, text: str) -> list[tuple[str, bytes]]:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return [(f"{key}.png", buffer.getvalue()), (f"{key}.txt", text.encode())]


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "is_large", lambda dataset: True)


def test_a_few_shards_tell_how_many_samples_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "ENOUGH", 30)
    numbers = iter(range(10_000))
    for shard in range(30):
        members = [one for i in range(5 + shard % 4) for one in sample(f"{i:06}", next(numbers))]
        write_tar(tmp_path / "d" / f"{shard:05}.tar", members)
    dataset = open_dataset(tmp_path / "d")
    found, true = sample_of(dataset), sum(1 for _ in dataset.records())
    assert 4 <= found.read < 10 and found.shards == 30 and 0 < found.margin < true / 4
    assert abs(found.samples - true) <= found.margin and found.set_aside == 0
    assert list(sample_of(dataset).dataset.scan()) == list(found.dataset.scan())
    monkeypatch.setattr(sampled, "ENOUGH", 10**9)
    whole = sample_of(dataset)
    assert (whole.read, whole.samples, whole.margin) == (30, true, 0)


def test_an_estimate_is_what_the_copy_then_is(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    source = _tars(tmp_path / "d", 3, 40)
    told = _told(source, PAINTED, keyring)
    done = embed(source, tmp_path / "out", PAINTED, keyring, secret=secret_from_seed(1, "test"))
    assert (told.sample.samples, told.carriers, told.painted, told.bytes) == (120, 12, 12, done.copied_bytes)
    assert told.written == told.bytes and told.fits and told.looks == 0 < told.rest
    assert told.forecast and told.forecast.power == done.forecast.power
    assert "12 pictures change" in estimate_text(told, tmp_path) and json.dumps(estimate_json(told, tmp_path))


def test_the_default_release_looks_at_all_pictures_and_changes_none(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    source = make_varied_folder(tmp_path / "d", sayable_captions(240))
    told = _told(source, with_list(WORDING, keyring), keyring)
    assert (told.carriers, told.painted) == (120, 0) and told.looks > 0 and told.forecast is not None
    assert not (keyring.home / "looks").exists(), "nothing is written"


def test_what_a_few_samples_cannot_tell_is_said(tmp_path: Path) -> None:
    source = make_varied_folder(tmp_path / "d", sayable_captions(60))
    told = _told(source, WORDING, Keyring(tmp_path / "home"))
    assert told.forecast is None and "60 pictures can be looked at" in told.obstacle
    assert told.obstacle in estimate_text(told, tmp_path)


def test_links_need_no_room(tmp_path: Path) -> None:
    source = recaption(make_folder(tmp_path / "d", 60), varied_captions(60))
    options = replace(PAINTED, rate=0.2)
    arguments = {"reading": AS_IT_IS, "expectation": USUAL, "engine": Threads(1)}
    linked, copied = (
        estimate(source, tmp_path / "out", options, Keyring(tmp_path / "home"), link=link, **arguments)  # type: ignore[arg-type]
        for link in (True, False)
    )
    assert linked and copied and linked.written < copied.written == copied.bytes == linked.bytes


def test_options_and_splits_count(tmp_path: Path) -> None:
    source = _tars(tmp_path / "d", 3, 40)
    told = _told(source, PAINTED, Keyring(tmp_path / "home"), ReadOptions(only=("00001/*",)))
    assert told.carriers == 4
    with pytest.raises(InputError, match="Allowed"):
        _told(source, replace(PAINTED, rate=2.0), Keyring(tmp_path / "home"))


def test_small_datasets_are_read_whole(tmp_path: Path) -> None:
    assert not is_large(open_dataset(make_folder(tmp_path / "d", 3)))
