"""Plan files, and the chain from a marked copy to a verdict on a model of random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attacks.page import write_page
from attacks.registry import find_attack
from attacks.run import AttackedSuspect, Setting, run_cells, strike
from attacks.suite import STANDARD, Cell, read_suite, standard
from detect.finetune import FinetuneOptions
from detect.suspects import Query, Sampler
from protect.errors import InputError
from protect.plan import Options
from tests.attacks.test_attacks import carriers
from tests.detect.conftest import build
from tests.detect.test_run import FakeSuspect
from tests.protect.conftest import make_folder


def test_the_standard_suite_is_sound() -> None:
    cells = standard((0, 1))
    assert len(cells) == 2 * len(STANDARD) == len({c.name for c in cells})
    for cell in cells:
        cell.check()


def test_a_plan_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    first, second = 'attack = "jpeg"\nstrength = [0.2, 1]', 'attack = "none"\nstrength = 0\nseed = 3'
    path.write_text(f"[[cell]]\n{first}\n[[cell]]\n{second}\n")
    assert [c.name for c in read_suite(path)] == [
        "jpeg-0.2-template-twa-0", "jpeg-1-template-twa-0", "none-0-template-twa-3"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[cell]\n", "line 1"),
        ("", "holds nothing"),
        ("a = 1\n", "holds a"),
        ('\n[[cell]]\nattack = "jpg"\nstrength = 1\n', "line 2: unknown attack 'jpg'"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 2\n', "line 1: strength 2.0 is out of range"),
        ('[[cell]]\nattack = "jpeg"\nstrength = "x"\n', "wrong kind"),
        ('[[cell]]\nattack = "jpeg"\n', "lacks"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 1\nfoo = 1\n', "unknown key 'foo'"),
        ('[[cell]]\nattack = "subset"\nstrength = 1\nwhere = "outputs"\n', "cannot strike outputs"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 1\nwhere = "there"\n', "unknown"),
        ('[[cell]]\nattack = "jpeg"\nstrength = [1, 1]\n', "twice"),
    ],
)
def test_bad_plan_files_say_where(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_suite(path)


def test_attacks_strike_every_picture_with_randomness_of_its_own() -> None:
    items = carriers(2, 4)
    attack = find_attack("noise")
    first, second = (strike(items, attack, 0.5, b"k" * 32) for _ in range(2))  # type: ignore[arg-type]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, second, strict=True))
    turned = strike(items[::-1], attack, 0.5, b"k" * 32)[::-1]  # type: ignore[arg-type]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, turned, strict=True))
    change = [a.picture.astype(int) - b.picture for a, b in zip(first, items, strict=True)]
    assert not np.array_equal(change[2], change[3])


def test_attacked_outputs_depend_on_their_own_question_only() -> None:
    attack = find_attack("noise")
    suspect = AttackedSuspect(FakeSuspect(), attack, 0.5)  # type: ignore[arg-type]
    queries = [Query("a", 1), Query("b", 2)]
    both, alone = suspect.generate(queries, Sampler()), suspect.generate(queries[1:], Sampler())
    assert np.array_equal(both[1], alone[0]) and suspect.identity["outputs"] == "noise 0.5"
    assert not np.array_equal(both[1], FakeSuspect().generate(queries[1:], Sampler())[0])


def test_cells_run_resume_and_make_a_page(tmp_path: Path) -> None:
    dataset, base = make_folder(tmp_path / "d", 40), build(tmp_path / "base")
    setting = Setting(
        dataset, base, Options(rate=0.2, slots=1, queries=2, decoys=99, alpha=0.05, steps=2),
        FinetuneOptions(method="full", steps=2, batch=4, learning_rate=1e-4),
    )  # fmt: skip
    cells = [
        Cell("none", 0.0), Cell("jpeg", 0.5), Cell("subset", 0.5), Cell("lower-rate", 1.0), Cell("drop-new", 1.0),
        Cell("jpeg", 0.5, where="outputs"),
    ]  # fmt: skip
    rows = run_cells(cells, setting, tmp_path / "w")
    assert [r["attack"] for r in rows] == [c.attack for c in cells] and {r["schema"] for r in rows} == {1}
    assert rows[1]["psnr"] < 60 and rows[2]["samples"] < 40 and rows[0]["psnr"] is None
    assert rows[3]["tuning"]["learning_rate"] == pytest.approx(1e-5)
    assert len(list((tmp_path / "w").glob("suspect-*"))) == 5, "attacks on outputs share the suspect"
    path = tmp_path / "w" / "cells" / f"{cells[1].name}.json"
    path.write_text(json.dumps(rows[1] | {"verdict": "kept"}))
    assert run_cells(cells, setting, tmp_path / "w")[1]["verdict"] == "kept"
    write_page(tmp_path / "p.html", [*rows, rows[0] | {"seed": 1}])
    assert (tmp_path / "p.html").read_text().count("<tr>") == 7
    with pytest.raises(InputError, match="other settings"):
        run_cells(cells, replace(setting, embedding=Options(rate=0.1)), tmp_path / "w")
