"""Pages say what the results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import measured
from benchmarks.common import interval
from detect.demo import MEASURED


@pytest.mark.parametrize("page", measured.pages(), ids=lambda path: path.name)
def test_page_says_what_the_results_say(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == measured.pages()[page], "run: python -m benchmarks.measured"


def test_another_figure_in_a_result_makes_another_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path in measured.RESULTS.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    held = json.loads((tmp_path / "suspects.json").read_text())
    held["guilty_with_evidence"]["k"] -= 1
    (tmp_path / "suspects.json").write_text(json.dumps(held))
    before = measured.pages()
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    measured.result.cache_clear()
    try:
        changed = {path for path, text in measured.pages().items() if text != before[path]}
    finally:
        measured.result.cache_clear()
    assert {path.name for path in changed} == {"measured.md", "README.md"}


def test_older_versions_and_uncommitted_changes_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"commit": "0123abc-dirty", "family_versions": {"template": 0}}
    monkeypatch.setattr(measured, "result", lambda name: held)
    said = measured.basis("any", "template")
    assert "not committed" in said and "`template` was version 0" in said


def test_every_result_names_where_it_comes_from() -> None:
    for path in measured.RESULTS.glob("*.json"):
        held = json.loads(path.read_text(encoding="utf-8"))
        assert {"command", "commit", "family_versions", "machine", "seconds", "versions"} <= set(held), path.name


def test_the_demo_says_what_was_measured() -> None:
    held = measured.result("wording")
    found = measured.counted(held["cells"]["half lora-4"]["reference"])
    tried = [row["evidence"] for row in held["innocents"] if row["marking"] == "half"]
    accused = measured.counted(interval(sum(tried), len(tried)))
    assert f"{found} keys were found" in MEASURED and f"by {accused} keys" in MEASURED


@pytest.mark.parametrize(
    ("value", "said"), [(583550.2, "583,550"), (0.0123, "0.0123"), (9.25, "9.25"), (2400, "2,400"), (384, "384")]
)
def test_numbers_for_people(value: float, said: str) -> None:
    assert measured.number(value) == said


def test_counts_with_their_interval() -> None:
    assert measured.counted({"k": 4, "n": 4, "low": 0.3976, "high": 1.0, "confidence": 0.95}).startswith("4 of 4 (95")
    assert measured.counted({"k": 0, "n": 64}) == "0 of 64"
    assert measured.percent(0.0238) == "2.4 %"
