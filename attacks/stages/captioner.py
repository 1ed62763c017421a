"""Captions written anew by a model that sees the pictures: any image-to-text model that transformers loads, by path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from attacks.stages.attack import AidedAttack, Item, Means
from detect.suspects.images.silence import quiet
from detect.suspects.images.weights import first_line
from protect.errors import InputError
from protect.marks.family import Pixels

_BATCH = 16
_WORDS = 40
"""Tokens of a caption at most."""


@torch.inference_mode()
def write_captions(captioner: Path, pictures: Sequence[Pixels], device: str = "cpu") -> list[str]:
    """One caption a picture, by greedy decoding.

    Args:
        captioner: folder of an image-to-text model (BLIP, GIT and others) with its processor; safetensors only.
        pictures: RGB, each (H, W, 3).
        device: where to run it.

    Raises:
        InputError: if the model cannot be loaded or fails.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor  # seconds to import

    reading: Any = AutoProcessor
    writing: Any = AutoModelForImageTextToText
    out: list[str] = []
    try:
        with quiet():
            processor = reading.from_pretrained(captioner, local_files_only=True)
            model = writing.from_pretrained(captioner, local_files_only=True, use_safetensors=True).to(device)
            for start in range(0, len(pictures), _BATCH):
                images = [Image.fromarray(p) for p in pictures[start : start + _BATCH]]
                inputs = processor(images=images, return_tensors="pt").to(device)
                ids = model.generate(**inputs, max_new_tokens=_WORDS, do_sample=False)
                out += [text.strip() for text in processor.batch_decode(ids, skip_special_tokens=True)]
    except Exception as error:
        raise InputError(
            f"{captioner} cannot caption pictures ({first_line(error)})",
            "Give --captioner a folder of an image-to-text model and its processor, with safetensors.",
        ) from error
    return [caption or "picture" for caption in out]


def _recaption(means: Means) -> Callable[[Sequence[Item], float, np.random.Generator], list[Item]]:
    def apply(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
        """Captioned anew, with that probability."""
        assert means.captioner is not None  # `run_cells` has seen to it
        places = [i for i in range(len(items)) if rng.random() < strength]
        out = list(items)
        for i, caption in zip(
            places, write_captions(means.captioner, [items[i].picture for i in places], means.device), strict=True
        ):
            out[i] = replace(items[i], caption=caption)
        return out

    return apply


ATTACKS = (
    AidedAttack("recaption-model", "captions written anew by --captioner, which sees pictures", _recaption, "dataset"),
)
