"""Families and alignments of other packages."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import protect.plugins
from protect.alignments import make_alignment
from protect.alignments.twa import Twa
from protect.errors import InputError
from protect.marks import make_family
from protect.marks.template import Template


class Stripes(Template):
    name = "stripes"


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
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def _install(monkeypatch: pytest.MonkeyPatch, *points: Point) -> None:
    monkeypatch.setattr(protect.plugins, "entry_points", lambda group: points)


def test_a_plugin_is_made_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Point("stripes", "other:Stripes", Stripes))
    assert isinstance(make_family("stripes", {}), Stripes)
    _install(monkeypatch, Point("suffix", "other:Suffix", Suffix))
    assert make_alignment("suffix").align("a kite", "zork") == "a kite zork"


def test_broken_and_greedy_plugins_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Point("stripes", "other:Stripes", ImportError("no such module")))
    with pytest.raises(InputError, match="other:Stripes does not load"):
        make_family("template", {})
    _install(monkeypatch, Point("template", "other:Mine", Stripes))
    with pytest.raises(InputError, match="takes the name 'template'"):
        make_family("template", {})
