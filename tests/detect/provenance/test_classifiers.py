"""Suspects that tell classes: every way in, and what is refused."""

from __future__ import annotations

import csv
import json
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from detect.provenance.sets import LabelledSet
from detect.provenance.training import ARCHITECTURES, Recipe, train_classifier
from detect.suspects.classifiers import load_classifier
from detect.suspects.classifiers.answers import write_queries
from detect.suspects.classifiers.classes import read_classes, read_map
from detect.suspects.classifiers.preprocessing import Preprocessing
from protect.errors import InputError, SuspectError

CLASSES = ("red", "green", "blue")


def pictures(count: int = 60, seed: int = 0, side: int = 32) -> LabelledSet:
    """Noisy pictures whose strongest colour is their class."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    pixels = rng.integers(0, 120, (count, side, side, 3), dtype=np.uint8)
    pixels[np.arange(count), :, :, truth] += 120
    return LabelledSet("colours", pixels, truth)


class Strongest(torch.nn.Module):
    """Right about every picture."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("trained")
    train_classifier(pictures(240), CLASSES, Recipe("resnet-mini", epochs=6, batch=24), place)
    return next(place.iterdir())


def test_a_trained_classifier_is_right_and_made_once(folder: Path) -> None:
    asked = pictures(seed=5)
    said = load_classifier(str(folder), CLASSES).answer(asked.pictures)
    assert (said.labels == asked.truth).mean() > 0.9 and said.scores is not None and said.scores.shape == (60, 3)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    train_classifier(pictures(240), CLASSES, Recipe("resnet-mini", epochs=6, batch=24), folder.parent)
    assert (folder / "model.safetensors").stat().st_mtime_ns == before and len(list(folder.parent.iterdir())) == 1


def test_training_repeats_bit_for_bit_and_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    for place in ("a", "b"):
        train_classifier(pictures(24), CLASSES, Recipe("resnet-mini", epochs=1, batch=8), tmp_path / place)
    first, second = (next((tmp_path / place).iterdir()) / "model.safetensors" for place in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_trains(tmp_path: Path, architecture: str) -> None:
    made = train_classifier(pictures(12), CLASSES, Recipe(architecture, epochs=1, batch=6), tmp_path)
    assert made.classes == CLASSES and made.answer(pictures(6).pictures).labels.shape == (6,)


def test_own_names_are_matched_in_any_order(folder: Path) -> None:
    asked = pictures(seed=5)
    turned = load_classifier(str(folder), ("BLUE", "red", "Green")).answer(asked.pictures)
    assert (turned.labels == np.array([1, 2, 0])[asked.truth]).mean() > 0.9
    assert turned.scores is not None and (turned.scores.argmax(axis=1) == turned.labels).all()
    with pytest.raises(InputError, match=r"no class 'gren'.*\n.*Nearest: green"):
        load_classifier(str(folder), ("red", "gren"))
    mapped = load_classifier(str(folder), ("warm", "cold"), mapping={"red": "warm", "blue": "cold"})
    assert set(mapped.answer(asked.pictures).labels) == {0, 1, -1}
    with pytest.raises(InputError, match="none of your classes"):
        load_classifier(str(folder), ("warm", "cold"), mapping={"red": "hot"})
    with pytest.raises(InputError, match="which the suspect has not"):
        load_classifier(str(folder), ("warm", "cold"), mapping={"rot": "warm"})


@pytest.mark.parametrize("kind", ["pt", "pt2", "onnx"])
def test_frozen_modules(tmp_path: Path, kind: str) -> None:
    path, example = tmp_path / f"m.{kind}", torch.zeros(2, 3, 16, 16)
    if kind == "pt":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would rather have it exported
            torch.jit.trace(Strongest(), example).save(str(path))  # type: ignore[no-untyped-call]
    elif kind == "pt2":
        batch = torch.export.Dim("batch", min=1, max=256)
        torch.export.save(torch.export.export(Strongest(), (example,), dynamic_shapes=({0: batch},)), path)
    else:
        if not (find_spec("onnx") and find_spec("onnxruntime") and find_spec("onnxscript")):
            pytest.skip("needs onnx to write a file")
        torch.onnx.export(Strongest(), (example,), path, dynamo=True)
    asked = pictures()
    suspect = load_classifier(str(path), CLASSES, preprocessing=Preprocessing(16, "none"))
    assert (suspect.answer(asked.pictures).labels == asked.truth).all()
    with pytest.raises(InputError, match="3 unnamed outputs"):
        load_classifier(str(path), ("a", "b"), preprocessing=Preprocessing(16, "none")).answer(asked.pictures)


def test_a_module_with_more_outputs_is_read_through_a_map(tmp_path: Path) -> None:
    path, batch = tmp_path / "m.pt2", torch.export.Dim("batch", min=1, max=256)
    torch.export.save(
        torch.export.export(Strongest(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=({0: batch},)), path
    )
    suspect = load_classifier(
        str(path), ("g", "r"), mapping={"1": "g", "0": "r"}, preprocessing=Preprocessing(16, "none")
    )
    said = suspect.answer(pictures(6).pictures)
    assert said.labels.tolist() == [1, 0, -1] * 2 and said.scores is not None and said.scores.shape == (6, 2)


def test_files_that_are_no_classifiers_are_refused(tmp_path: Path) -> None:
    for name in ("a.pt", "a.pt2", "a.onnx"):
        (tmp_path / name).write_bytes(b"nonsense")
        with pytest.raises(SuspectError, match="does not load"):
            load_classifier(str(tmp_path / name), CLASSES)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SuspectError, match="no classifier file"):
        load_classifier(str(tmp_path / "a.txt"), CLASSES)
    with pytest.raises(SuspectError, match=r"no model\.safetensors"):
        load_classifier(str(tmp_path), CLASSES)
    with pytest.raises(SuspectError, match="no such file"):
        load_classifier("missing", CLASSES)
    with pytest.raises(InputError, match="input-size"):
        Preprocessing(2)


class _Service(BaseHTTPRequestHandler):
    reply: object = {"label": "green"}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert body.startswith(b"\x89PNG")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.reply).encode())

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def service() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.mark.parametrize(
    ("reply", "labels", "scored"),
    [
        ({"label": "green"}, 1, False),
        ({"label": 2}, 2, False),
        ({"label": "GREEN"}, 1, False),
        ({"label": "red", "scores": [3, 2, 1]}, 0, True),
    ],
)
def test_a_service_answers(
    service: str, monkeypatch: pytest.MonkeyPatch, reply: object, labels: int, scored: bool
) -> None:
    monkeypatch.setattr(_Service, "reply", reply)
    said = load_classifier(service, CLASSES).answer(pictures(2).pictures)
    assert said.labels.tolist() == [labels] * 2 and (said.scores is not None) == scored


def test_a_service_that_fails_is_told(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for reply, said in (
        ({"label": "violet"}, "no class"),
        ({"label": True}, "no class"),
        ({"label": 7}, "no class"),
        ({"label": 1, "scores": [1, 2]}, "2 scores for 3"),
        ({"label": 1, "scores": [1, 2, float("nan")]}, "NaN"),
        ({"label": 1, "scores": "x"}, "no table"),
    ):
        monkeypatch.setattr(_Service, "reply", reply)
        with pytest.raises(SuspectError, match=said):
            load_classifier(service, CLASSES).answer(pictures(2).pictures)
    monkeypatch.setattr(_Service, "reply", {"label": 207})
    numbered = {"207": "blue", "5": "red", "9": "green"}
    assert load_classifier(service, CLASSES, mapping=numbered).answer(pictures(2).pictures).labels.tolist() == [2, 2]
    monkeypatch.setattr(_Service, "reply", {"lab": 1})
    with pytest.raises(SuspectError, match="without a label"):
        load_classifier(service, CLASSES).answer(pictures(1).pictures)
    with pytest.raises(SuspectError, match="does not answer"):
        load_classifier("http://127.0.0.1:9/", CLASSES).answer(pictures(1).pictures)


def test_answers_of_a_black_box(tmp_path: Path) -> None:
    asked = pictures(9)
    assert write_queries(tmp_path / "q", list(asked.pictures), CLASSES) == 9
    table = tmp_path / "q" / "answers.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with pytest.raises(InputError, match="lacks 9 of 9 labels"):
        load_classifier(str(table), CLASSES, name="box")
    with pytest.raises(InputError, match="whose answers"):
        load_classifier(str(table), CLASSES, name="  ")
    from PIL import Image

    for row in rows:
        pixels = np.asarray(Image.open(tmp_path / "q" / row["file"]))
        row["label"] = CLASSES[int(pixels.mean(axis=(0, 1)).argmax())]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "label"])
        writer.writeheader()
        writer.writerows(rows)
    suspect = load_classifier(str(table), CLASSES, name="box")
    assert (suspect.answer(asked.pictures).labels == asked.truth).all()
    with pytest.raises(SuspectError, match="no answer for 3 of 3"):
        suspect.answer(pictures(3, seed=8).pictures)
    before = suspect.identity
    table.write_text(table.read_text() + "\n")
    after = load_classifier(str(table), CLASSES, name="box").identity
    assert before["weights"] == after["weights"] and before != after, "the same box, asked again"
    (tmp_path / "twice.csv").write_text("file,label\na,red\na,blue\n")
    with pytest.raises(InputError, match="names a twice"):
        load_classifier(str(tmp_path / "twice.csv"), CLASSES, name="box")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no columns"):
        load_classifier(str(tmp_path / "bad.csv"), CLASSES, name="box")


def test_class_lists_and_maps(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_text("кот\n\n 犬 \n", encoding="utf-8")
    assert read_classes(path) == ("кот", "犬")
    for text in ("one\n", "a\na\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="class"):
            read_classes(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_classes(tmp_path / "missing")
    path.write_text("a,b\nc\n")
    with pytest.raises(InputError, match="row 2: 1 columns"):
        read_map(path)
