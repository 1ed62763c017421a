"""Verdicts as JSON keep to their published form, and the documentation tells every field of it."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from detect.provenance.tag_questions import open_original
from detect.provenance.tags import detect_tags
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.trial.every_release import detect_all
from detect.trial.judge import detect
from detect.trial.verdict import SCHEMA_VERSION, Verdict
from detect.trial.warnings import FLAGS
from protect.embed.write import embed
from protect.keys.keyring import Keyring
from protect.marks.family import Pixels
from protect.release.plan import Options
from tests.detect.test_judge import committed
from tests.support.datasets import make_classes
from tests.support.suspects import Broken, FakeSuspect, Flat, Guilty, Refusing, marked

SCHEMA: dict[str, Any] = json.loads(files("detect.trial").joinpath("verdict.schema.json").read_text(encoding="utf-8"))
PAGE = Path(__file__).parents[3] / "docs" / "verdict-schema.md"


def check(verdict: Verdict) -> None:
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(verdict.as_json(), allow_nan=False)))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def test_verdicts_on_models_keep_to_it(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring, family="spread")
    for suspect in (Guilty(bound), FakeSuspect("innocent"), Broken("broken"), Flat("flat", 0), Refusing(every=2)):
        check(detect(bound, suspect, keyring, cache, control=FakeSuspect("control")))
    shutil.rmtree(cache)
    gone = detect(bound, FakeSuspect("innocent"), keyring, cache)
    assert gone.slots[0].scores is None
    check(gone)
    unusable = committed(bound.release, alpha=0.01)
    check(detect_all([unusable], FakeSuspect("another"), keyring, cache)[0])


class Scoring(Classifier):
    def __init__(self) -> None:
        self.name, self.identity = "scoring", {"weights": "scoring"}

    def answer(self, pictures: Pixels) -> Answers:
        scores = np.sin(np.outer(pictures.reshape(len(pictures), -1).mean(axis=1), np.arange(1, 7)))
        return Answers(scores.argmax(axis=1), scores)


def test_verdicts_on_classifiers_keep_to_it(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    dataset = make_classes(tmp_path / "d", 6, 20, 48)
    options = Options(rate=0.15, alignment="label", slots=4, alpha=0.05, queries=4)
    bound = embed(dataset, tmp_path / "out", options, keyring, secret=b"s" * 32).bound
    original = open_original(dataset)
    verdict = detect_tags(bound, Scoring(), original, keyring, cache)
    check(verdict)
    row = verdict.as_json()
    assert row["kind"] == "labels" and set(row["slots"][0]["pull"]) == set(original.classes)
    shutil.rmtree(cache)
    gone = detect_tags(bound, Scoring(), original, keyring, cache)
    check(gone)
    assert gone.as_json()["slots"][0]["pull"] is None and gone.e_value == verdict.e_value


def test_it_is_strict(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    row = detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache).as_json()
    for change in ({"more": 1}, {"verdict": "guilty"}, {"p_value": 2}, {"schema_version": 2}, {"slots": [{}]}):
        with pytest.raises(ValidationError):
            Draft202012Validator(SCHEMA).validate(row | change)


def rows(part: dict[str, Any]) -> list[str]:
    """How the page tells the fields of one object."""
    return [f"| `{name}` | {kind(field)} | {field['description']} |" for name, field in part["properties"].items()]


def kind(field: dict[str, Any]) -> str:
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    return field["type"] if isinstance(field["type"], str) else " or ".join(field["type"])


def test_the_page_tells_every_field_and_flag() -> None:
    page, top = PAGE.read_text(encoding="utf-8"), SCHEMA["properties"]
    for part in (SCHEMA, *(top[name]["items"] for name in ("slots", "looks", "set_aside")), top["release"]):
        for row in rows(part):
            assert row in page
    assert all(f"| `{flag}` |" in page for flag in FLAGS)
