"""How `detect run` opens local files, and what it says about them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from detect.local_models import LoadingOptions, boxes, remarks, split_models
from detect.reports.report import write_report
from detect.suspects.images import Sampler, stacked
from detect.suspects.images.header import parse_header
from detect.suspects.images.sampling import Proposal
from detect.suspects.images.settings import Precision
from protect.errors import InputError
from tests.support.adapters import diffusers, layers, save
from tests.support.weights import QUERIES, SAMPLER


def test_models_are_given_again_and_services_once() -> None:
    assert split_models(["a", "b/c"], False) == ("a", [Path("a"), Path("b/c")])
    assert split_models(None, False) == ("", [])
    assert split_models(["https://x"], True) == ("https://x", [])
    with pytest.raises(InputError, match="by itself"):
        split_models(["https://x", "lora"], True)


def test_options_reach_the_suspect(base: Path, tmp_path: Path) -> None:
    lora = save(tmp_path / "a.safetensors", diffusers(layers(base, 3))[0])
    options = LoadingOptions(scales=(0.5,), dtype=Precision.bfloat16, batch=2)
    suspect, control = options.load([lora], base), options.load_other(base, base)
    assert suspect.identity["precision"] == control.identity["precision"] == "bfloat16"
    assert (stacked(suspect.answer(QUERIES, SAMPLER)) != stacked(control.answer(QUERIES, SAMPLER))).any()
    assert options.load_other(lora, base).identity["adapter"] != suspect.identity["adapter"], "at full strength"


def test_samplers_that_do_not_suit_are_told_once() -> None:
    suspect: Any = SimpleNamespace(notes=("a note",), proposal=Proposal(4, 1.0, "its scheduler is LCMScheduler"))
    said = remarks(suspect, [Sampler(20, 3.0), Sampler(20, 3.0), Sampler(4, 1.0)])
    assert len(said) == 2 and said[0] == "a note" and "--steps 4 --guidance 1" in said[1]
    assert remarks(SimpleNamespace(), [Sampler()]) == []  # type: ignore[arg-type]


def test_the_report_shows_what_files_say_and_how_often_they_name_triggers(tmp_path: Path) -> None:
    header = parse_header(
        {"ss_sd_model_name": "<b>v1-5</b>", "ss_tag_frequency": '{"10_x": {"a photo of zyx cat": 7, "grass": 2}}'}
    )
    suspect: Any = SimpleNamespace(headers=(("style.safetensors", header),), windows={"text_encoder": 77})
    verdict: Any = SimpleNamespace(slots=[SimpleNamespace(trigger="zyx"), SimpleNamespace(trigger="never")])
    found = boxes(suspect, ["vae: taken from the base"], [verdict])
    assert ("captions with “zyx”", "7") in found[1].rows and not any("never" in name for name, _ in found[1].rows)
    write_report(tmp_path / "r.html", "Title", "lead", [], boxes=found)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "What style.safetensors says of itself" in page and "&lt;b&gt;v1-5&lt;/b&gt;" in page
    assert "vae: taken from the base" in page and "text_encoder 77" in page
    assert boxes(SimpleNamespace(), [], [])[0].rows == []  # type: ignore[arg-type]
