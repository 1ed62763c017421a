"""A transformers image classifier, loaded strictly from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from detect.suspects.classifiers.classifier import BATCH, Answers, Classifier, answers_from_scores
from detect.suspects.images.silence import silenced_libraries
from protect.errors import SuspectError
from protect.files import sha256_file
from protect.marks.family import Pixels

WEIGHTS = "model.safetensors"


class FolderClassifier(Classifier):
    """`AutoModelForImageClassification` with its own preprocessing."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        if not (folder / WEIGHTS).is_file():
            raise SuspectError(
                f"{folder} holds no {WEIGHTS}",
                "Save it with save_pretrained; pickled weights are not read.",
            )
        try:
            with silenced_libraries():
                model, loading = AutoModelForImageClassification.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True, output_loading_info=True
                )
                self._processor: Any = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                    folder, local_files_only=True, backend="pil"
                )
        except Exception as error:
            first = str(error).partition("\n")[0]
            raise SuspectError(f"{folder} is no image classifier that loads ({first})", "Check the folder.") from error
        if missing := sorted(loading["missing_keys"]):
            raise SuspectError(
                f"{folder} lacks weights ({missing[0]}, {len(missing)} in all)", "Give the whole checkpoint."
            )
        self._model: Any = model.eval().to(device)
        self._device = device
        self.name = folder.resolve().name
        settings = (folder / name for name in ("config.json", "preprocessor_config.json"))
        self.identity = {
            "weights": sha256_file(folder / WEIGHTS),
            "device": device,
            **{place.name: sha256_file(place) for place in settings if place.is_file()},
        }
        names = model.config.id2label
        self.classes = tuple(str(names[i]) for i in range(len(names)))

    @torch.no_grad()
    def answer(self, pictures: Pixels) -> Answers:
        """Logits for pictures (see `Classifier.answer`)."""
        rows = []
        for start in range(0, len(pictures), BATCH):
            batch = [Image.fromarray(p) for p in pictures[start : start + BATCH]]
            inputs = self._processor(images=batch, return_tensors="pt").to(self._device)
            rows.append(self._model(**inputs).logits.double().cpu().numpy())
        return answers_from_scores(np.concatenate(rows), self.name)
