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
    monkeypatch.setattr(protect.plugins, "_points", lambda group: points)


def test_a_plugin_is_made_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Point("stripes", "other:Stripes", Stripes))
    assert isinstance(make_family("stripes", {}), Stripes)
    assert isinstance(make_family("stripes", {}).given(Stripes.descriptions[0]), Stripes)
    _install(monkeypatch, Point("suffix", "other:Suffix", Suffix))
    assert make_alignment("suffix").align("a kite", "zork") == "a kite zork"


def test_an_unused_broken_plugin_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Point("stripes", "other:Stripes", ImportError("no such module")))
    assert make_family("template", {}).name == "template"
    with pytest.raises(InputError, match="other:Stripes does not load"):
        make_family("stripes", {})


@pytest.mark.parametrize("found", [Template, Suffix, "text"])
def test_plugins_must_be_what_they_say(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    """A class under another name would be planted under one law and found under another."""
    _install(monkeypatch, Point("stripes", "other:Stripes", found))
    with pytest.raises(InputError, match="other:Stripes"):
        make_family("stripes", {})


def test_built_in_names_cannot_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Template):
        pass

    _install(monkeypatch, Point("template", "other:Mine", Mine))
    assert type(make_family("template", {})) is Template
