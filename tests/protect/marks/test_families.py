"""Families by name: options, stores, plug-ins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import protect.plugins
from protect.errors import InputError
from protect.execution.budget import BYTES_PER_PIXEL
from protect.keys.store import Store
from protect.marks import (
    BUILT_IN,
    families,
    family_class,
    make_family,
    options_of,
    parse_options,
    parse_options_of,
)
from protect.marks.template import Template
from tests.support.stores import add_basis, add_pool


@pytest.mark.parametrize(
    ("option", "family"),
    [
        ("strength", "warp"),
        ("parity", "warp"),
        ("depth", "tint"),
        ("psnr", "spread"),
    ],
)
@pytest.mark.parametrize("value", [1e6, -1.0, math.nan])
def test_values_are_checked_and_messages_name_the_option(option: str, family: str, value: float) -> None:
    with pytest.raises(InputError, match=f"--option {option}=.* is out of range\nAllowed: "):
        make_family(family, {option: value})


def test_unknown_families_and_options_are_refused_with_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"unknown mark family 'nope'\nChoose one of: lean, shade, template"):
        make_family("nope", {})
    with pytest.raises(InputError, match=r"'template' does not take psnr\nIts options: none"):
        make_family("template", {"psnr": 30})
    with pytest.raises(InputError, match=r"does not take depht\nIts options: depth"):
        parse_options("tint", {"depht": "high"})


def test_neither_the_store_nor_a_description_is_an_option(tmp_path: Path) -> None:
    for name in BUILT_IN:
        assert not {"store", "description"} & set(options_of(name))
    for family, option in (("scene", "store"), ("template", "description")):
        with pytest.raises(InputError, match="does not take"):
            make_family(family, {option: "x"}, Store(tmp_path))


def test_options_are_listed_with_their_defaults() -> None:
    assert options_of("latent") == {"basis": "", "psnr": 30.0}
    assert options_of("scene") == {"pool": ""} and options_of("dwtdct") == {}


def test_written_options_are_read_as_names_or_numbers() -> None:
    assert parse_options("scene", {"pool": "12e4"}) == {"pool": "12e4"}
    assert parse_options("tint", {"depth": "1e-1"}) == {"depth": 0.1}
    with pytest.raises(InputError, match=r"--option psnr=high .*not a number\nFor example: --option psnr=38"):
        parse_options("spread", {"psnr": "high"})
    for text in ("nan", "inf", "-inf"):
        with pytest.raises(InputError, match=f"--option push={text} .*not a number"):
            parse_options("lean", {"push": text})


def test_options_of_several_families_are_told_apart() -> None:
    given = {"spread.psnr": "30", "tint.depth": "0.2"}
    assert parse_options_of(["spread", "tint"], given) == {"spread": {"psnr": 30.0}, "tint": {"depth": 0.2}}
    with pytest.raises(InputError, match=r"no family in use \(spread\)\nWrite it as FAMILY.NAME=VALUE"):
        parse_options_of(["spread"], {"tint.depth": "0.2"})
    with pytest.raises(InputError, match="does not take dept"):
        parse_options_of(["tint"], {"tint.dept": "0.2"})


def test_stored_arrays_come_from_the_store_that_is_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "elsewhere"))
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    pool, basis = add_pool(first), add_basis(first)
    assert make_family("scene", {"pool": pool}, first).distinct == 200
    make_family("latent", {"basis": basis}, first)
    for family, options in (("scene", {"pool": pool}), ("latent", {"basis": basis})):
        with pytest.raises(InputError, match="there is no"):
            make_family(family, options, second)
        with pytest.raises(InputError, match="there is no"):
            make_family(family, options)


def test_every_family_says_what_it_is() -> None:
    for name, family in families().items():
        assert family.name == name and family.summary and family.version >= 1 and family.queries > 0
        assert family.needs_pairs <= family.paired and family_class(name) is family
        assert family.bytes_per_pixel >= BYTES_PER_PIXEL


class Stripes(Template):
    name = "stripes"


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
    assert isinstance(make_family("stripes", {}), Stripes) and family_class("stripes") is Stripes
    assert isinstance(make_family("stripes", {}).given(Stripes.descriptions[0]), Stripes)


def test_a_plugin_is_given_the_store_only_if_it_takes_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Kept(Stripes):
        name = "kept"

        def __init__(self, store: Store) -> None:
            object.__setattr__(self, "store", store)
            object.__setattr__(self, "description", "")

    _install(monkeypatch, Point("kept", "other:Kept", Kept), Point("stripes", "other:Stripes", Stripes))
    assert make_family("kept", {}, Store(tmp_path)).store == Store(tmp_path)  # type: ignore[attr-defined]
    make_family("stripes", {}, Store(tmp_path))


def test_an_unused_broken_plugin_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, Point("stripes", "other:Stripes", ImportError("no such module")))
    assert make_family("template", {}).name == "template"
    with pytest.raises(InputError, match="other:Stripes does not load"):
        make_family("stripes", {})


@pytest.mark.parametrize("found", [Template, np.ndarray, "text"])
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
