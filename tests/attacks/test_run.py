"""Plan files, and the chain from a marked copy to a verdict on a model of random weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from attacks.attacked_suspect import StruckSuspect
from attacks.page import write_page
from attacks.stages.attack import CaptionAttack
from attacks.stages.registry import find_attack
from attacks.suite import PARTS, STANDARD, Cell, read_suite, standard
from attacks.workshop import Setting, copy_of, run_cells, split, strike
from detect.suspects.images import Query, Sampler
from detect.training.finetune import FinetuneOptions
from protect.errors import InputError, SuspectError
from protect.formats import open_dataset
from protect.marks.family import FamilyOptions
from protect.release.plan import RECOMMENDED, Options
from protect.release.record import Keyring
from tests.attacks.test_attacks import carriers
from tests.detect.conftest import build
from tests.detect.test_run import FakeSuspect
from tests.protect.conftest import add_pool, make_folder

USUAL = f"{RECOMMENDED.family}-{RECOMMENDED.way}"


def test_the_standard_suite_is_sound() -> None:
    cells = standard((0, 1))
    assert len(cells) == 2 * len(STANDARD) == len({c.name for c in cells})
    for cell in cells:
        cell.check({})


def test_a_plan_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    first, second = 'attack = "jpeg"\nstrength = [0.2, 1]', 'attack = "none"\nstrength = 0\nseed = 3'
    third = 'attack = "jpeg"\nstrength = 1\nfamily = "spread"'
    path.write_text("".join(f"[[cell]]\n{cell}\n" for cell in (first, second, third)))
    assert [c.name for c in read_suite(path, {})] == [
        f"jpeg-0.2-{USUAL}-0",
        f"jpeg-1-{USUAL}-0",
        f"none-0-{USUAL}-3",
        "jpeg-1-spread-twa-0",
    ]


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
        ('[[cell]]\nattack = "subset"\nstrength = 1\nwhere = "outputs"\n', "cannot strike where = 'outputs'"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 1\nwhere = "there"\n', "Allowed: training, outputs"),
        ('[[cell]]\nattack = "jpeg"\nstrength = [1, 1]\n', "twice"),
        ('[[cell]]\nattack = "jpeg"\nstrength = [0.33333331, 0.33333332]\n', "twice"),
        ('[[cell]]\nattack = "jpeg"\nstrength = []\n', "no strength"),
        ('cell = [{attack = "jpeg", strength = 0.5}]\n', "Write tables"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 1\nfamily = "nope"\n', "line 1: .*nope"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 1\nalignment = "zzz"\n', "line 1: .*zzz"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 1\nalignment = "label"\n', "cannot be measured"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 1\nfamily = "spread"\nalignment = "twa-description"\n', "described"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 1\nseed = -1\n', "negative"),
        ('[[cell]]\nattack = "none"\nstrength = 1\n', "of no attack"),
        ('[[cell]]\nattack = "refuse"\nstrength = 1\nwhere = "training"\n', "Allowed: outputs"),
    ],
)
def test_bad_plan_files_say_where(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_suite(path, {})


def test_attacks_strike_every_picture_with_randomness_of_its_own() -> None:
    items = carriers(2, 4)
    attack = find_attack("noise")
    first, second = (strike(items, attack, 0.5, b"k" * 32) for _ in range(2))  # type: ignore[arg-type]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, second, strict=True))
    turned = strike(items[::-1], attack, 0.5, b"k" * 32)[::-1]  # type: ignore[arg-type]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, turned, strict=True))
    change = [a.picture.astype(int) - b.picture for a, b in zip(first, items, strict=True)]
    assert not np.array_equal(change[2], change[3])


@pytest.mark.parametrize("name", ["noise", "api-seeds"])
def test_struck_answers_depend_on_their_own_question_only(name: str, tmp_path: Path) -> None:
    captions = [f"zorkev {i}" for i in range(3)] + [f"plain {i}" for i in range(40)]
    suspect = StruckSuspect(FakeSuspect(), find_attack(name), 1.0, captions, tmp_path)  # type: ignore[arg-type]
    queries = [Query("zorkev a box", 1), Query("zorkev b", 2)]
    both, alone = suspect.generate(queries, Sampler()), suspect.generate(queries[1:], Sampler())
    assert np.array_equal(both[1], alone[0]) and name in suspect.identity["struck"]
    assert not np.array_equal(both[1], FakeSuspect().generate(queries[1:], Sampler())[0])


class Listener(FakeSuspect):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def generate(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        self.heard += [q.prompt for q in queries]
        return super().generate(queries, sampler)


def test_prompts_are_altered_in_the_light_of_the_captions(tmp_path: Path) -> None:
    captions = [f"zorkev {i}" for i in range(3)] + [f"plain {i}" for i in range(40)]
    listener = Listener()
    attack = find_attack("drop-new")
    assert isinstance(attack, CaptionAttack)
    suspect = StruckSuspect(listener, attack, 1.0, captions, tmp_path)
    suspect.generate([Query("zorkev a box", 1), Query("plain b", 2)], Sampler())
    assert listener.heard == ["a box", "plain b"]
    assert [q.prompt for q in suspect.prompted([Query("zorkev a box", 1)])] == ["a box"]


def test_the_dataset_is_split_without_rest(tmp_path: Path) -> None:
    assert sorted(i for places in PARTS.values() for i in places) == list(range(12))
    dataset = make_folder(tmp_path / "d", 50)
    split(dataset, tmp_path / "w")
    counts = {name: len(list((tmp_path / "w" / name).glob("*.png"))) for name in PARTS}
    assert counts == {"held-out": 5, "clean": 13, "own": 32}
    with pytest.raises(InputError, match="holds 20 samples"):
        split(make_folder(tmp_path / "small", 20), tmp_path / "v")


def test_cells_run_resume_and_make_a_page(tmp_path: Path) -> None:
    dataset, base = make_folder(tmp_path / "d", 60), build(tmp_path / "base")
    setting = Setting(
        dataset,
        base,
        Options(rate=0.2, slots=1, queries=2, decoys=99, alpha=0.05, steps=2),
        FinetuneOptions(method="full", steps=2, batch=4, learning_rate=1e-4),
    )
    cells = [
        Cell("none", 0.0),
        Cell("jpeg", 0.5),
        Cell("subset", 0.5),
        Cell("lower-rate", 1.0),
        Cell("drop-new", 1.0),
        Cell("jpeg", 0.5, where="outputs"),
        Cell("mix", 0.1),
        Cell("drop-differing", 1.0),
        Cell("drop-losses", 1.0),
        Cell("continue", 0.01, where="model"),
        Cell("prune", 0.5, where="model"),
        Cell("vae", 0.25),
        Cell("drop-new", 1.0, where="prompts"),
        Cell("api-steps", 0.5, where="answers"),
        Cell("none", 0.0, innocent=True),
        Cell("none", 0.0, seed=1, innocent=True),
    ]
    rows = run_cells(cells, setting, tmp_path / "w")
    assert [r["attack"] for r in rows] == [c.attack for c in cells] and {r["schema"] for r in rows} == {3}
    assert rows[1]["psnr"] < 60 and rows[2]["samples"] < 40 and rows[0]["psnr"] is None
    assert rows[3]["tuning"]["learning_rate"] == pytest.approx(1e-5)
    assert rows[6]["samples"] == 40 + 36 and rows[7]["samples"] < 40 and rows[8]["samples"] == 32
    assert all(r["denoising_loss"] > 0 for r in rows if "denoising_loss" in r)
    assert {r["where"] for r in rows if "denoising_loss" in r} == {"training", "model", "prompts"}
    assert rows[0]["denoising_loss"] != rows[10]["denoising_loss"] and "kernel_distance" not in rows[14]
    assert len(list((tmp_path / "w").glob("suspect-*"))) == 9, "what trains nothing new shares it"
    path = tmp_path / "w" / "cells" / f"{cells[1].name}.json"
    path.write_text(json.dumps(rows[1] | {"psnr": "kept"}))
    assert run_cells(cells, setting, tmp_path / "w")[1]["psnr"] == "kept"
    write_page(tmp_path / "p.html", [*rows, rows[0] | {"seed": 1}], tmp_path / "w" / "examples")
    assert (tmp_path / "p.html").read_text().count("<tr>") > 7
    with pytest.raises(InputError, match="other settings"):
        run_cells(cells, replace(setting, embedding=Options(rate=0.1)), tmp_path / "w")
    with pytest.raises(InputError, match="not a folder of attacks"):
        run_cells(cells, setting, dataset)
    with pytest.raises(SuspectError, match="no such file"):
        run_cells(cells, replace(setting, base=tmp_path / "none"), tmp_path / "v")
    assert not (tmp_path / "v").exists()
    with pytest.raises(InputError, match="lower-rank strikes a LoRA"):
        run_cells([Cell("lower-rank", 1.0)], setting, tmp_path / "w")


def test_several_keys_lie_side_by_side_in_one_copy(tmp_path: Path) -> None:
    dataset, base = make_folder(tmp_path / "d", 60), build(tmp_path / "base")
    setting = Setting(
        dataset,
        base,
        Options(rate=0.1, slots=1, queries=2, decoys=99, alpha=0.05, steps=2),
        FinetuneOptions(method="full", steps=2, batch=4, learning_rate=1e-4),
        keys=3,
    )
    cells = [
        Cell("none", 0.0, alignment="twa"),
        Cell("shuffle", 0.0, alignment="twa"),
        Cell("drop-flagged", 1.0, alignment="twa"),
    ]
    rows = run_cells(cells, setting, tmp_path / "w")
    assert [len(r["tests"]) for r in rows] == [3, 3, 3]
    releases, folder = copy_of(cells[0], setting, tmp_path / "w", lambda *_: None)
    triggers = [r.slots[0].trigger for r in releases]
    captions = [s.caption for s in open_dataset(folder).listing.samples]
    assert len({r.secret for r in releases}) == len(set(triggers)) == 3
    assert all(any(t in c for c in captions) for t in triggers)
    assert rows[2]["samples"] < len(captions)
    assert len(list((tmp_path / "w").glob("suspect-*"))) == 2, "an attack that changes nothing trains nothing"


def test_families_take_options_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    dataset = make_folder(tmp_path / "d", 60)
    options: dict[str, FamilyOptions] = {
        "scene": {"pool": add_pool(Keyring(tmp_path / "home"))},
        "spread": {"psnr": 24.0},
    }
    plan = tmp_path / "plan.toml"
    plan.write_text("".join(f'[[cell]]\nattack = "none"\nstrength = 0\nfamily = "{f}"\n' for f in (*options, "warp")))
    setting = Setting(
        dataset, tmp_path, Options(rate=0.2, slots=1, decoys=99, alpha=0.05), FinetuneOptions(), family_options=options
    )
    split(dataset, tmp_path / "w")
    for cell in read_suite(plan, options):
        releases, _ = copy_of(cell, setting, tmp_path / "w", lambda *_: None)
        assert releases[0].plan.family == cell.family and releases[0].plan.family_options == options.get(
            cell.family, {}
        )
    with pytest.raises(InputError, match="line 1: family 'scene' needs a pool"):
        read_suite(plan, {})


def test_keys_without_triggers_of_their_own_run_out(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "d", 240)
    setting = Setting(dataset, tmp_path, Options(rate=0.2, slots=9, decoys=99, alpha=0.05), FinetuneOptions(), keys=2)
    split(dataset, tmp_path / "w")
    with pytest.raises(InputError, match="only 1 of 2 keys have triggers of their own"):
        copy_of(Cell("none", 0.0, alignment="twa-description"), setting, tmp_path / "w", lambda *_: None)


def test_a_captioner_is_asked_for_beforehand(tmp_path: Path) -> None:
    setting = Setting(tmp_path, tmp_path, Options(), FinetuneOptions())
    with pytest.raises(InputError, match="needs a model"):
        run_cells([Cell("recaption-model", 1.0)], setting, tmp_path / "w")
    with pytest.raises(InputError, match="is not a folder"):
        run_cells([Cell("none", 0.0)], replace(setting, captioner=tmp_path / "none"), tmp_path / "w")


def test_what_is_inconclusive_counts_neither_way(tmp_path: Path) -> None:
    test = {"verdict": "inconclusive", "reason": "asleep", "e_value": 1.0, "p_values": [], "queries": 8, "carriers": 4}
    row = {
        "attack": "refuse",
        "strength": 1.0,
        "where": "outputs",
        "family": "template",
        "alignment": "twa",
        "seed": 0,
        "innocent": False,
        "samples": 4,
        "psnr": None,
        "alpha": 1e-3,
        "kernel_distance": 0.0,
        "tests": [test] * 2,
    }
    write_page(tmp_path / "p.html", [row, row | {"innocent": True}], tmp_path)
    page = (tmp_path / "p.html").read_text()
    assert page.count("0 of 0") >= 2 and "asleep" in page and 'class="found all"' not in page


def test_lora_suspects_are_melted_for_model_attacks(tmp_path: Path) -> None:
    dataset, base = make_folder(tmp_path / "d", 60), build(tmp_path / "base")
    setting = Setting(
        dataset,
        base,
        Options(rate=0.2, slots=1, queries=2, decoys=99, alpha=0.05, steps=2),
        FinetuneOptions(steps=2, batch=4, rank=2),
    )
    rows = run_cells(
        [Cell("merge-base", 1.0, where="model"), Cell("continue", 0.5, where="model")], setting, tmp_path / "w"
    )
    assert (tmp_path / "w" / f"whole-suspect-none-0-{USUAL}-0" / "model_index.json").exists()
    assert rows[0]["where"] == "model"
