"""What the recipes for small models count on: captions that say what is there, and measures that can fail."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "examples"
COLOURS = {
    "red": (214, 40, 40),
    "orange": (240, 140, 20),
    "yellow": (250, 230, 60),
    "green": (0, 120, 0),
    "teal": (20, 160, 160),
    "blue": (30, 60, 200),
    "purple": (150, 60, 200),
    "grey": (128, 128, 128),
    "white": (250, 250, 250),
    "black": (10, 10, 10),
    "brown": (110, 70, 40),
}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((64, 64, 3), colour, dtype=np.uint8)


# --- captions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COLOURS)
def test_plain_colours_have_their_names(example: Any, name: str) -> None:
    captions = example("caption_photographs")
    seen = captions.look(plain(COLOURS[name]))
    assert seen.top == seen.bottom == name
    assert (seen.subject, seen.size, seen.side) == ("", "", "")


def test_a_small_thing_on_the_left_is_seen(example: Any) -> None:
    captions = example("caption_photographs")
    picture = plain(COLOURS["green"])
    picture[28:44, 4:20] = COLOURS["red"]
    seen = captions.look(picture)
    assert (seen.subject, seen.size, seen.side) == ("red", "small", "left")
    text = captions.caption(picture, "frog")
    assert "red frog" in text and "green" in text
    assert text == captions.caption(picture.copy(), "frog")


def test_captions_vary_and_are_tidy(example: Any) -> None:
    captions = example("caption_photographs")
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        picture = np.repeat(np.repeat(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), 16, 0), 16, 1)
        found.append(captions.caption(picture, "airplane"))
    assert len(set(found)) > 100
    assert not any("  " in text or " ," in text or " a o" in f" {text}" or text != text.strip() for text in found)
    assert captions.tidy("a  orange ship , a red one") == "an orange ship, a red one"


# --- training and measures ------------------------------------------------------------------------


def test_the_learning_rate_warms_up_and_cools_down(example: Any) -> None:
    rates = [example("small_training").learning_rate(step, 1000, 1.0) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 200) and rates[300] == rates[700] == 1.0
    assert rates[-1] == pytest.approx(0.02) and all(a >= b for a, b in pairwise(rates[300:]))


def test_the_average_follows_the_weights(example: Any) -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average = {"weight": torch.zeros(1, 1)}
    for step in range(3000):
        example("small_training").follow(average, network, step)
    assert torch.allclose(average["weight"], network.weight, atol=0.02)


def test_nearness_tells_right_from_shuffled_drawings(example: Any) -> None:
    measures = example("measure_drawings")

    class Encoder:
        def encode(self, x: torch.Tensor) -> Any:
            kind: Any = type("Posterior", (), {"mean": x})
            return type("Output", (), {"latent_dist": kind})

    pictures = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    assert measures.nearness(Encoder(), pictures, pictures).min() == 1.0
    shuffled = measures.nearness(Encoder(), np.roll(pictures, 1, axis=0), pictures)
    assert shuffled.mean() == pytest.approx(0.5, abs=0.15)


def test_the_same_captions_are_measured_each_time_and_none_twice(example: Any) -> None:
    captions = ["a", "b", "a", "c", "b", "d"]
    chosen = example("measure_drawings").choose(captions, 3)
    assert chosen == example("measure_drawings").choose(captions, 3)
    assert len({captions[i] for i in chosen}) == len(chosen) == 3


def test_text_encoders_are_the_miniatures_own(example: Any) -> None:
    """Stable Diffusion 3 reads the layer before the last, which must be the miniature's last."""
    recipe, base = example("train_transformer"), example("train_photographs").load_base()
    ids = base.tokenizer(["a red bus"], padding="max_length", max_length=40, return_tensors="pt").input_ids
    with torch.no_grad():
        own = base.text_encoder(ids, output_hidden_states=True)
        deep = recipe.make_text_encoder(base, 4).eval()(ids, output_hidden_states=True)
        shallow = recipe.make_text_encoder(base, 1).eval()(ids, output_hidden_states=True)
    assert torch.allclose(deep.hidden_states[-2], own.hidden_states[-1], atol=1e-3)
    assert torch.allclose(shallow.hidden_states[-2], own.hidden_states[1], atol=1e-3)
    end = ids[0].tolist().index(base.tokenizer.eos_token_id)
    assert torch.allclose(deep.text_embeds[0], own.last_hidden_state[0, end], atol=1e-3)
