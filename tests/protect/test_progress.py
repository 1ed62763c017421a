"""What is told of the pace of work."""

from __future__ import annotations

import io
import json
import sys

import pytest

from protect import console
from protect.progress import Pace


def test_time_left_is_right_after_a_tenth_also_where_an_earlier_run_did_much() -> None:
    now = [100.0]
    pace = Pace(clock=lambda: now[0])
    pace.told(400)
    assert (pace.seconds, pace.rate, pace.left(1000)) == (0, None, None)
    for step in range(60):
        now[0] += 0.5 if step % 2 else 1.5
        pace.told(400 + step + 1)
    assert pace.rate == pytest.approx(1.0) and pace.left(1000) == pytest.approx(540)
    assert pace.left(0) is None


def test_nothing_done_has_no_pace() -> None:
    pace = Pace(clock=lambda: 1.0)
    pace.told(5)
    pace.told(5)
    assert pace.rate is None and pace.left(10) is None


def test_lines_of_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(log_json=True) as progress:
        for done in range(1, 101):
            progress("writing", done, 100)
        for done in range(1, 5001):
            progress("reading", done, 0)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    writing = [line for line in lines if line["stage"] == "writing"]
    assert [line["done"] for line in writing] == [1, *range(10, 101, 10)] and writing[-1]["left"] == 0
    assert {"time", "stage", "done", "total", "seconds", "rate", "left"} == writing[0].keys()
    assert writing[0]["rate"] is None and writing[3]["rate"] > 0
    assert [line["done"] for line in lines if line["stage"] == "reading"] == [1000, 1024, 2048, 4096]


def test_lines_for_people_say_how_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as progress:
        progress("writing", 1, 4)
        progress("writing", 4, 4)
    first, last = capsys.readouterr().err.splitlines()
    assert (first, last) == ("writing: 1/4", "writing: 4/4")


def test_json_is_json_in_any_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"caption": "caf\u00e9 \U0001f600 \x92\u202e\x7f\t", "name of a file": "a\udcff"}
    place = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(place, encoding="ascii", errors="backslashreplace"))
    console.answer("", data, as_json=True)
    assert json.loads(place.getvalue().decode()) == data and r"\u0092\u202e\u007f" in place.getvalue().decode()
