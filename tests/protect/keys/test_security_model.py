"""The page on security names tests: each must exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "security-model.md"


def test_every_defence_names_a_test_that_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    there = {name for source in sources for name in re.findall(r"^\s*def (test_\w+)\(", source, re.MULTILINE)}
    assert len(named) > 40 and named - there == set()


def test_every_flag_about_the_coin_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for flag in ("no-public-coin", "coin-not-checked", "coin-checked", "coin-on-request"):
        assert f"`{flag}`" in text
