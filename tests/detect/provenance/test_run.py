"""The passive test as a whole, on pictures whose classes show in another channel for each source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detect.provenance.page import write_page
from detect.provenance.run import Materials, judge, prepare
from detect.provenance.sets import drawn, read_set
from detect.provenance.settings import Settings
from detect.provenance.source import Source
from detect.provenance.training import Recipe, train_classifier
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.suspects.images import Answer, Query, Sampler, Suspect
from protect.errors import InputError, SuspectError
from protect.marks.family import Pixels

CLASSES = ("top", "middle", "bottom")
RECIPE = Recipe("resnet-mini", epochs=8, batch=18, side=32)
SETTINGS = Settings(train_per_class=24, test_per_class=40, shadow=RECIPE, references=9, batch=20, alpha=0.1)


def write_source(folder: Path, channel: int, seed: int, noise: int = 110) -> Path:
    """Class folders: a bar at a height that is the class, in one channel."""
    rng = np.random.default_rng(seed)
    for c, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(64):
            pixels = rng.integers(60, 60 + noise, (32, 32, 3), dtype=np.uint8)
            pixels[4 + 9 * c : 12 + 9 * c, :, channel] += rng.integers(10, 100, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    place = tmp_path_factory.mktemp("sources")
    channels = [0, 1, 2, 1]
    return [Source(f"s{i}", folder=write_source(place / f"s{i}", c, i)) for i, c in enumerate(channels)]


@pytest.fixture(scope="module")
def materials(sources: list[Source], tmp_path_factory: pytest.TempPathFactory) -> Materials:
    return prepare(sources[0], sources[1:], CLASSES, SETTINGS, tmp_path_factory.mktemp("cache"))


def test_a_suspect_of_this_source_is_found_and_one_of_another_is_not(
    materials: Materials, sources: list[Source], tmp_path: Path
) -> None:
    def trained(place: int) -> Classifier:
        assert sources[place].folder is not None
        learnt = read_set(sources[place].folder, CLASSES, 24, 32)
        return train_classifier(learnt, CLASSES, replace(RECIPE, seed=77), tmp_path / "c")

    guilty, innocent = judge(materials, trained(0)), judge(materials, trained(2))
    assert guilty.outcome == "panel evidence" and guilty.panel is not None and guilty.panel.panel_p == 1 / 10
    assert innocent.outcome == "no evidence"
    assert guilty.paper is not None and guilty.paper.accused
    assert guilty.as_json()["assumption"].startswith("panel_p holds only if")
    write_page(tmp_path / "p.html", guilty, materials)
    page = (tmp_path / "p.html").read_text()
    assert "panel evidence" in page and "not exact" in page and page.count("<svg") == 2 and "TrainProVe" in page


def test_answers_that_say_nothing_are_inconclusive(materials: Materials, tmp_path: Path) -> None:
    class Constant(Classifier):
        name, identity = "constant", {"weights": "0"}

        def answer(self, pictures: Pixels) -> Answers:
            return Answers(np.ones(len(pictures), dtype=np.intp))

    found = judge(materials, Constant())
    assert found.outcome == "inconclusive" and "everything" in found.trouble
    write_page(tmp_path / "p.html", found, materials)
    assert "inconclusive" in (tmp_path / "p.html").read_text()


def test_bad_settings_are_refused() -> None:
    for wrong, said in (
        (replace(SETTINGS, references=8), "Smallest reachable"),
        (replace(SETTINGS, test_per_class=10), "three batches"),
        (replace(SETTINGS, test_prompt="a photo"), "no {c}"),
        (replace(SETTINGS, shadow=Recipe("resnet1001")), "unknown architecture"),
    ):
        with pytest.raises(InputError, match=said):
            wrong.check(2, 3)
    with pytest.raises(InputError, match="two or more --control"):
        SETTINGS.check(1, 3)
    assert SETTINGS.cost(3, 10) == {"pictures": 2560, "classifiers": 28}


class Painter(Suspect):
    """Draws noise, or black."""

    def __init__(self, black: bool) -> None:
        self.name, self.identity, self._black = "painter", {"weights": str(black)}, black

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        rng = np.random.default_rng(queries[0].seed)
        drawn = rng.integers(0, 256, (len(queries), 16, 16, 3), dtype=np.uint8)
        return [Answer(picture * np.uint8(not self._black)) for picture in drawn]


def test_drawn_sets_mix_classes_and_black_generators_are_refused(tmp_path: Path) -> None:
    made = drawn(
        Painter(False), "a {c}", CLASSES, 4, seed=5, sampler=Sampler(), cache=tmp_path, progress=lambda *_: None
    )
    assert made.truth.tolist() == [0, 1, 2] * 4 and made.pictures.shape == (12, 16, 16, 3)
    with pytest.raises(SuspectError, match="12 of 12 pictures in one colour"):
        drawn(Painter(True), "a {c}", CLASSES, 4, seed=5, sampler=Sampler(), cache=tmp_path, progress=lambda *_: None)


def test_folders_with_too_few_pictures_are_refused(sources: list[Source]) -> None:
    assert sources[0].folder is not None
    with pytest.raises(InputError, match="holds 64 pictures of 'top', 65 are needed"):
        read_set(sources[0].folder, CLASSES, 65, 32)
    with pytest.raises(InputError, match="holds 0 pictures of 'left'"):
        read_set(sources[0].folder, ("left", "top"), 5, 32)


def test_pictures_that_cannot_be_read_are_set_aside(tmp_path: Path) -> None:
    folder = write_source(tmp_path / "s", 0, 0)
    (folder / "top" / "000.png").write_bytes(b"no picture")
    (folder / "top" / "001.png").write_bytes((folder / "top" / "002.png").read_bytes()[:300])
    found = read_set(folder, CLASSES, 5, 32)
    assert found.pictures.shape == (15, 32, 32, 3) and [one.key for one in found.set_aside] == [
        "top/000.png",
        "top/001.png",
    ]
    with pytest.raises(
        InputError, match=r"62 pictures of 'top', 63 are needed \(2 pictures cannot be read, first top/000"
    ):
        read_set(folder, CLASSES, 63, 32)
