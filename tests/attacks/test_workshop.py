"""The chain from a marked copy to a verdict, on a model of random weights: shared, resumed, refused when it must be."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from attacks.cell import Cell
from attacks.measure import run_cells
from attacks.page import write_page
from attacks.parts import divide
from attacks.result import SCHEMA
from attacks.stages.samples import count_records, read_captioned
from attacks.suite import read_suite
from attacks.workshop import Setting, Workshop
from detect.training.options import FinetuneOptions
from protect.errors import InputError, SuspectError
from protect.keys.keyring import Keyring
from protect.marks.family import FamilyOptions
from protect.release.plan import Options
from tests.support.datasets import make_folder
from tests.support.thieves import photo

USUAL = "template-twa-double"
painted = partial(Cell, family="template", alignment="twa-double")
"""A cell whose release small datasets of plain pictures can carry."""
SMALL = Options(rate=0.2, slots=1, queries=2, decoys=99, alpha=0.05, steps=2)
FULL = FinetuneOptions(method="full", steps=2, batch=4, learning_rate=1e-4)


def workshop(setting: Setting, work: Path) -> Workshop:
    return Workshop(setting, work, work / "cache")


def test_cells_run_resume_and_make_a_page(tmp_path: Path, base: Path) -> None:
    dataset = make_folder(tmp_path / "d", 60)
    setting, work = Setting(dataset, base, SMALL, FULL), tmp_path / "w"
    cells = [
        painted("none", 0.0),
        painted("jpeg", 0.5),
        painted("subset", 0.5),
        painted("lower-rate", 1.0),
        painted("drop-new", 1.0),
        painted("jpeg", 0.5, where="outputs"),
        painted("mix", 0.1),
        painted("drop-differing", 1.0),
        painted("drop-losses", 1.0),
        painted("continue", 0.01, where="model"),
        painted("prune", 0.5, where="model"),
        painted("vae", 0.25),
        painted("drop-new", 1.0, where="prompts"),
        painted("api-steps", 0.5, where="answers"),
        painted("none", 0.0, innocent=True),
        painted("none", 0.0, seed=1, innocent=True),
    ]
    results = run_cells(cells, workshop(setting, work))
    assert [r.cell for r in results] == cells
    none, jpeg, subset, rate, _, outputs, mix, differing, losses, *_ = results
    assert none.psnr is None and jpeg.psnr is not None and jpeg.psnr < 60
    assert subset.samples < 40 and mix.samples == 40 + 36 and differing.samples < 40 and losses.samples == 32
    assert rate.tuning.learning_rate == pytest.approx(1e-5)
    assert all(r.price.denoising_loss is None or r.price.denoising_loss > 0 for r in results)
    assert outputs.price.denoising_loss is None and outputs.price.kernel_distance is not None
    priced = {r.cell.where for r in results if r.price.denoising_loss is not None}
    assert priced == {"training", "model", "prompts"}
    assert none.price.denoising_loss != results[10].price.denoising_loss
    assert results[14].price.kernel_distance is None, "innocents pay nothing"
    assert len(list(work.glob("suspect-*"))) == 9, "what trains nothing new shares it"
    assert not list(work.glob("**/*.partial")) and not (work / "keyring" / "cache").exists()
    path = workshop(setting, work).result_path(cells[1])
    row = json.loads(path.read_bytes())
    assert row["schema"] == SCHEMA
    path.write_text(json.dumps(row | {"samples": 12345}))
    assert run_cells(cells, workshop(setting, work))[1].samples == 12345, "finished cells are read back"
    write_page(tmp_path / "p.html", results, work / "examples")
    page = (tmp_path / "p.html").read_text()
    assert page.count("<tr>") > 7 and "jpeg 0.5" in page
    path.write_text("{}")
    with pytest.raises(InputError, match=r"is no result of a cell .*\nRemove it"):
        run_cells(cells, workshop(setting, work))
    with pytest.raises(InputError, match="other settings"):
        run_cells(cells, workshop(replace(setting, embedding=Options(rate=0.1)), work))


def test_folders_and_bases_that_are_none_are_refused(tmp_path: Path, base: Path) -> None:
    dataset = make_folder(tmp_path / "d", 60)
    setting, cells = Setting(dataset, base, SMALL, FULL), [painted("none", 0.0)]
    with pytest.raises(InputError, match="not a folder of attacks"):
        run_cells(cells, workshop(setting, dataset))
    with pytest.raises(SuspectError, match="no such file"):
        run_cells(cells, workshop(replace(setting, base=tmp_path / "none"), tmp_path / "v"))
    assert not (tmp_path / "v").exists()
    with pytest.raises(InputError, match="lower-rank strikes a LoRA"):
        run_cells([painted("lower-rank", 1.0)], workshop(setting, tmp_path / "v"))
    with pytest.raises(InputError, match="needs a model"):
        run_cells([painted("recaption-model", 1.0)], workshop(setting, tmp_path / "v"))


def test_several_keys_lie_side_by_side_in_one_copy(tmp_path: Path, base: Path) -> None:
    dataset, work = make_folder(tmp_path / "d", 60), tmp_path / "w"
    setting = Setting(dataset, base, replace(SMALL, rate=0.1), FULL, keys=3)
    cells = [
        painted("none", 0.0, alignment="twa"),
        painted("shuffle", 0.0, alignment="twa"),
        painted("drop-flagged", 1.0, alignment="twa"),
    ]
    results = run_cells(cells, workshop(setting, work))
    assert [len(r.tests) for r in results] == [3, 3, 3]
    marked = workshop(setting, work).marked_copy(cells[0])
    triggers = [release.slots[0].trigger for release in marked.releases]
    captions = [s.caption for s in read_captioned(marked.folder)]
    assert len({r.release.secret for r in marked.releases}) == len(set(triggers)) == 3
    assert all(any(t in c for c in captions) for t in triggers)
    assert results[2].samples < len(captions)
    assert len(list(work.glob("suspect-*"))) == 2, "an attack that changes nothing trains nothing"


def test_another_recipients_copy_differs_in_its_carriers_only(tmp_path: Path, base: Path) -> None:
    place = workshop(Setting(make_folder(tmp_path / "d", 60), base, SMALL, FULL), tmp_path / "w")
    place.prepare()
    first, second = (place.marked_copy(painted("none", 0.0), recipient) for recipient in (0, 1))
    touched = {c.key for copy in (first, second) for c in copy.releases[0].release.carriers}
    pairs = zip(read_captioned(first.folder), read_captioned(second.folder), strict=True)
    assert {a.key for a, b in pairs if a.caption != b.caption or (a.picture != b.picture).any()} == touched


def test_families_take_options_and_arrays_of_the_owners(tmp_path: Path) -> None:
    dataset, keyring = make_folder(tmp_path / "d", 60), Keyring(tmp_path / "home")
    pool = keyring.store.put("pool", templates=np.stack([photo(i, 32, 32) for i in range(200)]))
    options: dict[str, FamilyOptions] = {"scene": {"pool": pool}, "spread": {"psnr": 24.0}}
    plan = tmp_path / "plan.toml"
    plan.write_text("".join(f'[[cell]]\nattack = "none"\nstrength = 0\nfamily = "{f}"\n' for f in (*options, "warp")))
    embedding = Options(rate=0.2, slots=1, decoys=99, alpha=0.05)
    setting = Setting(dataset, tmp_path, embedding, FinetuneOptions(), family_options=options, store=keyring.store)
    divide(dataset, tmp_path / "w")
    place = workshop(setting, tmp_path / "w")
    place.borrow_arrays()
    for cell in read_suite(plan, options, keyring.store):
        release = place.marked_copy(cell).releases[0].release
        assert release.plan.parts[0].family == cell.family
        assert release.plan.parts[0].family_options == options.get(cell.family, {})
    with pytest.raises(InputError, match="line 1: "):
        read_suite(plan, {}, keyring.store)


def test_arrays_that_the_owner_does_not_have_are_asked_for(tmp_path: Path, base: Path) -> None:
    options: dict[str, FamilyOptions] = {"scene": {"pool": "0" * 64}}
    setting = Setting(make_folder(tmp_path / "d", 60), base, SMALL, FULL, family_options=options)
    with pytest.raises(InputError, match=r"there is no pool .*\nMake one: protect pool"):
        workshop(setting, tmp_path / "w").prepare()


def test_keys_without_triggers_of_their_own_run_out(tmp_path: Path, base: Path) -> None:
    embedding = Options(rate=0.2, slots=9, decoys=99, alpha=0.05)
    setting = Setting(make_folder(tmp_path / "d", 240), base, embedding, FinetuneOptions(), keys=2)
    place = workshop(setting, tmp_path / "w")
    place.prepare()
    with pytest.raises(InputError, match="only 1 of 2 keys have triggers of their own"):
        place.marked_copy(painted("none", 0.0, alignment="twa-description"))


def test_lora_suspects_are_melted_for_model_attacks(tmp_path: Path, base: Path) -> None:
    tuning = FinetuneOptions(steps=2, batch=4, rank=2)
    setting = Setting(make_folder(tmp_path / "d", 60), base, SMALL, tuning)
    cells = [painted("merge-base", 1.0, where="model"), painted("continue", 0.5, where="model")]
    results = run_cells(cells, workshop(setting, tmp_path / "w"))
    assert (tmp_path / "w" / f"whole-suspect-none-0-{USUAL}-0" / "model_index.json").exists()
    assert results[0].cell.where == "model" and results[0].suspect["weights"] != results[1].suspect["weights"]


def test_an_attack_that_a_stopped_run_finished_is_not_made_again(tmp_path: Path, base: Path) -> None:
    setting = Setting(make_folder(tmp_path / "d", 60), base, SMALL, FULL)
    place, cell = workshop(setting, tmp_path / "w"), painted("noise", 0.5)
    first = run_cells([cell], place)[0]
    folder = tmp_path / "w" / f"attacked-{cell.name}"
    made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    place.result_path(cell).unlink()
    assert run_cells([cell], place)[0] == first and count_records(folder) == 40
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == made
