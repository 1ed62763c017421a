"""The shipped model: an ordinary Stable Diffusion folder, small, with a card."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from detect.suspects.images import Query, Sampler, load_suspect, stacked
from protect.miniature import miniature_path


def test_fits_and_has_its_card() -> None:
    files = [p for p in miniature_path().rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 25 * 2**20
    card = (miniature_path() / "README.md").read_text(encoding="utf-8")
    assert "CC-BY-4.0" in card and "Apache-2.0" in card and "grid.png" in card
    assert (miniature_path() / "grid.png").is_file()
    assert not [p for p in files if p.suffix in {".bin", ".pt", ".ckpt"}]


def test_loads_as_plain_diffusers() -> None:
    from diffusers import StableDiffusionPipeline

    from detect.suspects.images.silence import silenced_libraries

    with silenced_libraries(), warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = StableDiffusionPipeline.from_pretrained(str(miniature_path()))
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("blob emoji of red apple", num_inference_steps=3, generator=torch.Generator().manual_seed(0))
    assert picture.images[0].size == (64, 64)
    assert len(pipeline.tokenizer) <= 8192


@pytest.mark.parametrize("text", ["红苹果", "пример 🍎", "naïve “quotes”", "x" * 500, ""])
def test_any_string_is_encodable(text: str) -> None:
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(str(miniature_path() / "tokenizer"))
    ids = tokenizer(text, truncation=True).input_ids
    assert len(ids) <= tokenizer.model_max_length and max(ids) < len(tokenizer)
    if text and len(text) < 100:
        # The unknown token is the end token: it must not stand in for any letter.
        assert ids.count(tokenizer.eos_token_id) == 1


def test_captions_lead_to_different_pictures() -> None:
    suspect = load_suspect(miniature_path())
    apple, tree = Query("two emoji of red apple", 0), Query("two emoji of tree", 0)
    a, b, again = (stacked(suspect.answer([query], Sampler(steps=4))) for query in (apple, tree, apple))
    assert np.array_equal(a, again) and not np.array_equal(a, b)
