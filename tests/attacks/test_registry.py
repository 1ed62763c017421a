"""The list of attacks: complete, light to print, and every attack says where it strikes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from attacks.stages.attack import Attack, Captioned, check_strength
from attacks.stages.registry import ATTACKS, NOTHING, find_attack
from detect.suspects.images import Query, Sampler
from detect.training.options import FinetuneOptions
from protect.errors import InputError
from tests.support.thieves import photo, same

HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "kornia",
    "imagehash",
    "matplotlib",
    "scipy.spatial",
    "scipy.stats",
    "scipy.optimize",
)


def test_listing_the_attacks_imports_nothing_heavy() -> None:
    """Importing the commands and listing all attacks, in an interpreter of its own."""
    script = f"import sys, attacks.commands, attacks.stages.registry\nprint([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_listing_the_attacks_takes_less_than_a_second_of_processor_time() -> None:
    script = (
        "import sys, time; sys.argv = ['attacks', 'ls']\n"
        "from cli import attacks_main\n"
        "try: attacks_main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print(time.process_time(), file=sys.stderr)"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 60
    assert float(done.stderr.strip().splitlines()[-1]) < 1.0
    listed = {line.split()[1] for line in done.stdout.splitlines()}
    assert listed == set(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=lambda a: a.name)
def test_every_attack_has_a_function_and_a_place(attack: Attack) -> None:
    assert callable(attack.load()) and attack.load().__doc__, "a function with a docstring"
    assert (
        attack.places
        and attack.summary
        and attack.stage
        in {
            "images",
            "captions",
            "dataset",
            "training",
            "model",
            "answers",
        }
    )
    assert attack.needs in {"", "lora", "captioner"}


def test_unknown_attacks_and_strengths_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown attack 'jpg'\nNearest: jpeg"):
        find_attack("jpg")
    with pytest.raises(InputError, match="out of range"):
        check_strength(1.5)
    assert check_strength(0.5) == 0.5


def test_no_attack_is_an_attack_that_changes_nothing(tmp_path: Path) -> None:
    samples = [Captioned("a", photo(), "a box")]
    queries, rng = [Query("a box", 1)], np.random.default_rng(0)
    assert find_attack("none") is NOTHING and "none" not in ATTACKS
    assert same(NOTHING.on_data(samples, 1.0, b"k"), samples)
    assert NOTHING.on_tuning(FinetuneOptions(), 1.0) == FinetuneOptions()
    assert NOTHING.on_model(tmp_path, 1.0, 0, tmp_path / "never") == tmp_path
    assert NOTHING.on_prompt("a box", ["a kite"], 1.0, rng) == "a box"
    assert NOTHING.on_questions(queries, Sampler(), 1.0) == (queries, Sampler())
    assert np.array_equal(NOTHING.on_output(photo(), 1.0, rng), photo())


@pytest.mark.parametrize("attack", [a for a in ATTACKS.values() if not a.aided], ids=lambda a: a.name)
def test_an_attack_changes_nothing_where_it_cannot_strike(attack: Attack) -> None:
    samples = [Captioned(str(i), photo(i), "Zorkev, a red box") for i in range(3)]
    queries, rng = [Query("Zorkev, a red box", 1)], np.random.default_rng(0)
    if not attack.alters_data:
        assert same(attack.on_data(samples, 1.0, b"k"), samples)
    if "training" not in attack.places or attack.stage != "training":
        assert attack.on_tuning(FinetuneOptions(), 1.0) == FinetuneOptions()
    if "prompts" not in attack.places:
        assert attack.on_prompt(queries[0].prompt, [], 1.0, rng) == queries[0].prompt
    if "answers" not in attack.places:
        assert attack.on_questions(queries, Sampler(), 1.0) == (queries, Sampler())
    if "outputs" not in attack.places:
        assert np.array_equal(attack.on_output(photo(), 1.0, rng), photo())
