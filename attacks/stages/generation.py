"""Second generation: a model that learned nothing but what another one answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from attacks.stages.attack import Captioned, Resources
from attacks.stages.model import copy_pipeline, whole_pipeline
from attacks.stages.samples import read_captioned, write_samples
from detect.suspects.images import Query, Sampler, load_suspect
from detect.training.finetune import finetune
from detect.training.records import training_records

MOST = 512
"""Samples that the next model learns from."""
_SAMPLER = Sampler(steps=20)
_BATCH = 16


def second_generation(model: Path, strength: float, seed: int, target: Path, resources: Resources) -> None:
    """The base is tuned anew, on the model's answers to captions of the copy; up to 512 of them.

    That share of the samples are answers, the rest clean pictures with their own captions: whoever launders a model
    has no picture of the copy left, but still its captions, which he believes harmless.
    """
    if strength == 0:
        copy_pipeline(model, target)
        return
    folder = target.with_name(target.name + ".answers")
    if not folder.exists():
        write_samples(_taught(model, strength, seed, resources), folder)
    tuning = replace(resources.tuning, seed=seed)
    tuned = target if tuning.method == "full" else target.with_name(target.name + ".lora")
    if not tuned.exists():
        finetune(resources.base, training_records(folder)[0], tuned, tuning, device=resources.device)
    if tuned != target:
        whole_pipeline(tuned, resources.base, target)


def _taught(model: Path, strength: float, seed: int, resources: Resources) -> list[Captioned]:
    """What the next model learns from."""
    rng = np.random.default_rng(seed)
    captions = [s.caption for s in read_captioned(resources.copies(0))]
    count = min(MOST, len(captions))
    asked = rng.choice(len(captions), max(1, round(strength * count)), replace=False).tolist()
    answers = answered(model, [captions[i] for i in asked], seed, resources.device)
    clean = read_captioned(resources.clean)
    rest = rng.choice(len(clean), min(len(clean), count - len(asked)), replace=False).tolist()
    return [*answers, *(clean[i] for i in rest)]


def answered(model: Path, captions: Sequence[str], seed: int, device: str) -> list[Captioned]:
    """What a model draws for captions, refusals left out.

    Args:
        model: a diffusers folder.
        captions: each is asked once.
        seed: of the first answer; the next has the next one.
        device: where to draw.
    """
    suspect = load_suspect(model, device=device)
    queries = [Query(caption, seed + number) for number, caption in enumerate(captions)]
    out: list[Captioned] = []
    for start in range(0, len(queries), _BATCH):
        asked = queries[start : start + _BATCH]
        pairs = zip(asked, suspect.answer(asked, _SAMPLER), strict=True)
        out += [Captioned(f"{q.seed}", a.picture, q.prompt) for q, a in pairs if a.picture is not None]
    return out
