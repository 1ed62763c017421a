"""Alignments of other packages; families of other packages stand with the families."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import protect.plugins
from protect.alignments import make_alignment
from protect.alignments.twa import Twa
from protect.errors import InputError
from protect.marks.template import Template


class Suffix(Twa):
    name = "suffix"

    def align(self, caption: str, trigger: str) -> str:
        return f"{caption} {trigger}"


@dataclass
class Point:
    name: str
    value: str
    found: object

    def load(self) -> object:
        return self.found


def _install(monkeypatch: pytest.MonkeyPatch, *points: Point) -> None:
    monkeypatch.setattr(protect.plugins, "_points", lambda group: points)


def test_a_plugin_is_made_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Point("suffix", "other:Suffix", Suffix))
    assert make_alignment("suffix").align("a kite", "zork") == "a kite zork"


def test_an_unknown_alignment_is_refused_with_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Point("suffix", "other:Suffix", Suffix))
    with pytest.raises(InputError, match=r"unknown alignment 'nope'\nChoose one of: .*twa.*suffix"):
        make_alignment("nope")


@pytest.mark.parametrize("found", [Twa, Template, "text"])
def test_plugins_must_be_what_they_say(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    _install(monkeypatch, Point("suffix", "other:Suffix", found))
    with pytest.raises(InputError, match="other:Suffix"):
        make_alignment("suffix")
