"""Plan files and the standard suite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attacks.cell import Cell, check_needs
from attacks.stages.attack import ImageAttack
from attacks.stages.registry import find_attack
from attacks.suite import STANDARD, read_suite, standard
from protect.errors import InputError
from protect.keys.store import NO_STORE
from protect.release.plan import WORDING

USUAL = f"{WORDING.family}-{WORDING.alignment}"


def test_the_standard_suite_is_sound() -> None:
    cells = standard((0, 1))
    assert len(cells) == 2 * len(STANDARD) == len({c.name for c in cells})
    for cell in cells:
        cell.check({}, NO_STORE)


def test_picture_attacks_of_the_standard_suite_run_at_their_strength() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = [(cell, find_attack(cell.attack)) for cell in standard()]
    images = [(cell, attack) for cell, attack in found if isinstance(attack, ImageAttack) and not attack.aided]
    assert {"grey", "colour", "jpeg", "crop"} <= {cell.attack for cell, _ in images}
    for cell, attack in images:
        tries = [attack.on_output(picture, cell.strength, np.random.default_rng(seed)) for seed in range(8)]
        assert all(altered.shape == picture.shape for altered in tries), cell.name
        assert not all(np.array_equal(altered, picture) for altered in tries), cell.name


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
    ("text", "message"),
    [
        ("[[cell]\n", "line 1"),
        ("", "holds nothing"),
        ("a = 1\n", "holds a"),
        ("cell = [1]\n", "Write tables"),
        ('\n[[cell]]\nattack = "jpg"\nstrength = 1\n', "line 2: unknown attack 'jpg'"),
        ('[[cell]]\nattack = "jpeg"\nstrength = 2\n', "line 1: strength 2.0 is out of range"),
        ('[[cell]]\nattack = "jpeg"\nstrength = "x"\n', "wrong kind"),
        ('[[cell]]\nattack = "jpeg"\nstrength = true\n', "wrong kind"),
        ('[[cell]]\nattack = "jpeg"\nstrength = [true]\n', "is no number"),
        ("[[cell]]\nattack = 1\nstrength = 1\n", "wrong kind"),
        ('[[cell]]\nattack = "none"\nstrength = 0\ninnocent = 1\n', "wrong kind"),
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
        ('[[cell]]\nattack = "jpeg"\nstrength = 1\nfamily = "scene"\n', "line 1: .*pool"),
    ],
)
def test_bad_plan_files_say_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_suite(path, {})


def test_a_plan_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    for name in ("none.toml", "latin.toml"):
        with pytest.raises(InputError, match=rf"{name} cannot be read"):
            read_suite(tmp_path / name, {})


def test_what_a_cell_needs_is_asked_for_beforehand(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lower-rank strikes a LoRA"):
        check_needs(Cell("lower-rank", 1.0), "full", None)
    check_needs(Cell("lower-rank", 1.0), "lora", None)
    with pytest.raises(InputError, match="recaption-model needs a model"):
        check_needs(Cell("recaption-model", 1.0), "full", None)
    with pytest.raises(InputError, match="is not a folder"):
        check_needs(Cell("none", 0.0), "full", tmp_path / "none")
    check_needs(Cell("recaption-model", 1.0), "full", tmp_path)


def test_the_plan_of_further_attacks_can_be_run() -> None:
    path = Path(__file__).parents[2] / "examples" / "further_attacks.toml"
    cells = read_suite(path, {})
    assert {"drop-found", "vote-copies", "second-generation", "redraw", "drop-captions"} <= {c.attack for c in cells}
    assert [c.strength for c in cells if c.attack == "merge-base"] == [0.25, 0.5, 0.75, 1.0]
    kinds = {(c.family, c.alignment) for c in cells}
    assert kinds == {(c.family, c.alignment) for c in cells if c.attack == "none"}, "each has a cell to be read beside"
