"""The page and the plot: worst first, what is inconclusive counts neither way."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from attacks.cell import Cell
from attacks.cost_plot import cost_plot
from attacks.page import write_page
from attacks.result import SCHEMA, CellResult, KeyTest, Price, from_json
from attacks.summary import Rise, rise, summaries
from attacks.workshop import Setting, Workshop
from detect.training.options import FinetuneOptions
from protect.files import write_atomic
from protect.formats.record import SetAside
from protect.pixels.measure import png_bytes
from protect.release.plan import Options
from tests.support.thieves import photo

FOUND = KeyTest("evidence", "", 5000.0, (1e-4,), 8, 4)
MISSED = KeyTest("no evidence", "", 0.4, (0.3,), 8, 4)
ASLEEP = KeyTest("inconclusive", "asleep", 1.0, (), 8, 4)


def result(cell: Cell, *tests: KeyTest, loss: float | None = 0.5, distance: float | None = 1.0) -> CellResult:
    price = Price(loss, distance)
    return CellResult(cell, tests, 1e-3, 1, 40, None, price, FinetuneOptions(), {"weights": "w"}, {"numpy": "2"})


PLAIN = result(Cell("none", 0.0), FOUND, FOUND)


def test_results_are_kept_as_json() -> None:
    kept = replace(result(Cell("jpeg", 0.5, "outputs"), FOUND, MISSED, loss=None), psnr=31.5)
    row = kept.as_json()
    assert from_json(row) == kept and row["schema"] == SCHEMA
    assert row["attack"] == "jpeg" and row["kernel_distance"] == 1.0 and row["tests"][1]["verdict"] == "no evidence"
    with pytest.raises(KeyError, match="schema 1"):
        from_json(row | {"schema": 1})


def test_a_result_is_conclusive_if_all_its_tests_are() -> None:
    assert PLAIN.conclusive and not result(Cell("none", 0.0), FOUND, ASLEEP).conclusive


def test_what_came_to_no_conclusion_is_kept_if_the_attack_did_that(tmp_path: Path) -> None:
    """Else refusals that cost a verdict would be missing from every table."""
    dataset, base = tmp_path / "dataset", tmp_path / "base"
    place = Workshop(Setting(dataset, base, Options(), FinetuneOptions()), tmp_path, tmp_path / "cache")
    (tmp_path / "cells").mkdir()
    refused, failed = result(Cell("refuse", 0.5, "outputs"), ASLEEP), result(Cell("jpeg", 0.5, "outputs"), ASLEEP)
    place.save(refused)
    place.save(failed)
    assert place.load(refused.cell) == refused and place.load(failed.cell) is None


def test_costs_are_counted_beside_the_same_key_without_attack() -> None:
    jpeg = result(Cell("jpeg", 0.5), MISSED, loss=0.6, distance=3.0)
    other = result(Cell("jpeg", 0.5, seed=1), MISSED)
    answers = result(Cell("jpeg", 0.5, "outputs"), MISSED, loss=None, distance=2.0)
    results = [PLAIN, jpeg, other, answers]
    paid = rise(jpeg, results)
    assert paid and paid.denoising_loss == pytest.approx(0.2) and paid.kernel_distance == 2.0
    assert rise(other, results) is None, "the seed's own cell without attack was not measured"
    assert rise(answers, results) == Rise(0.0, 1.0), "what strikes after training leaves the model as it is"
    joined = summaries([PLAIN, jpeg, other])[1]
    assert (joined.found, joined.conclusive, joined.least) == (0, 2, 0.4) and joined.rise == paid


def test_what_is_inconclusive_counts_neither_way(tmp_path: Path) -> None:
    guilty = result(Cell("refuse", 1.0, "outputs"), ASLEEP, ASLEEP)
    innocent = replace(guilty, cell=replace(guilty.cell, innocent=True), price=Price())
    write_page(tmp_path / "p.html", [guilty, innocent], tmp_path)
    page = (tmp_path / "p.html").read_text()
    assert page.count("0 of 0") >= 2 and "asleep" in page and 'class="found all"' not in page


def test_the_page_shows_the_worst_first_with_examples_and_what_was_set_aside(tmp_path: Path) -> None:
    missed = result(Cell("crop", 0.5), MISSED, MISSED, distance=2.5)
    half = result(Cell("mix", 0.5), MISSED, FOUND)
    write_atomic(tmp_path / "crop 0.5, template.png", png_bytes(photo()))
    aside = (SetAside("bad <b>.png", "truncated"),)
    write_page(tmp_path / "p.html", [PLAIN, half, missed], tmp_path, aside)
    page = (tmp_path / "p.html").read_text()
    assert page.index(">crop</th>") < page.index(">mix</th>") < page.index(">none</th>")
    assert "0 of 2" in page and "1 of 2" in page and "2 of 2" in page and "+1.50" in page
    assert "1 sample of the dataset took no part" in page and "bad &lt;b&gt;.png (truncated)" in page
    assert "crop 0.5, template" in page and "data:image/png;base64," in page and "<svg" in page
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert links and all(link.startswith(("data:", "#")) for link in links) and "<script" not in page


@pytest.mark.parametrize(("dearest", "scale"), [(30.9, "linear"), (31.1, "symlog")])
def test_the_cost_axis_is_logarithmic_only_if_something_costs_very_much(dearest: float, scale: str) -> None:
    far = result(Cell("refuse", 0.5, "outputs"), MISSED, loss=None, distance=dearest)
    figure = cost_plot(summaries([PLAIN, far]))
    assert figure.axes[0].get_xscale() == scale and figure.axes[0].get_yscale() == "log"


def test_strengths_of_one_attack_are_joined_and_what_is_missed_is_named() -> None:
    weak, strong = (result(Cell("crop", s), MISSED, distance=1 + s) for s in (0.2, 0.9))
    axes = cost_plot(summaries([PLAIN, weak, strong])).axes[0]
    curves = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert len(curves) == 1 and [text.get_text() for text in axes.texts] == ["crop, training"] * 2


def test_a_page_without_results_can_be_drawn(tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", [], tmp_path)
    assert "Found in 0 of 0 tests" in (tmp_path / "p.html").read_text()
