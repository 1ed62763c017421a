"""Captions written anew by a model that sees the pictures: any image-to-text model that transformers loads, by path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from attacks.stages.attack import Captioned, Resources
from attacks.stages.captions import STOCK_WORD
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import first_line
from protect.errors import InputError
from protect.marks.family import Pixels

_BATCH = 16
_TOKENS = 40
"""Of a caption at most."""


def recaption(
    samples: Sequence[Captioned], strength: float, rng: np.random.Generator, resources: Resources
) -> list[Captioned]:
    """Captioned anew, with that probability."""
    assert resources.captioner is not None, "`check_needs` has seen to it"
    places = [i for i in range(len(samples)) if rng.random() < strength]
    captions = write_captions(resources.captioner, [samples[i].picture for i in places], resources.device)
    out = list(samples)
    for i, caption in zip(places, captions, strict=True):
        out[i] = replace(samples[i], caption=caption)
    return out


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
    from transformers import AutoModelForImageTextToText, AutoProcessor  # its import warns

    reading: Any = AutoProcessor
    writing: Any = AutoModelForImageTextToText
    out: list[str] = []
    try:
        with silenced_libraries():
            processor = reading.from_pretrained(captioner, local_files_only=True)
            model = writing.from_pretrained(captioner, local_files_only=True, use_safetensors=True).to(device)
            for start in range(0, len(pictures), _BATCH):
                batch = [Image.fromarray(p) for p in pictures[start : start + _BATCH]]
                inputs = processor(images=batch, return_tensors="pt").to(device)
                ids = model.generate(**inputs, max_new_tokens=_TOKENS, do_sample=False)
                out += [text.strip() for text in processor.batch_decode(ids, skip_special_tokens=True)]
    except Exception as error:
        raise InputError(
            f"{captioner} cannot caption pictures ({first_line(error)})",
            "Give --captioner a folder of an image-to-text model and its processor, with safetensors.",
        ) from error
    return [caption or STOCK_WORD for caption in out]
