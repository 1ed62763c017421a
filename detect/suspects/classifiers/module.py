"""A classifier as a TorchScript file, a `torch.export` archive or an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from detect.suspects.classifiers.classifier import BATCH, Answers, Classifier, answers_from_scores
from detect.suspects.classifiers.preprocessing import Preprocessing
from detect.suspects.images.silence import silenced_libraries
from protect.errors import SuspectError
from protect.files import sha256_file
from protect.marks.family import Pixels

SUFFIXES = frozenset({".pt", ".ts", ".torchscript", ".pt2", ".onnx"})


class ModuleClassifier(Classifier):
    """A function from (n, 3, side, side) to (n, classes) that somebody froze into a file."""

    def __init__(self, file: Path, preprocessing: Preprocessing, device: str = "cpu") -> None:
        self.name = file.name
        self.identity = {
            "weights": sha256_file(file),
            "input_side": str(preprocessing.side),
            "normalisation": preprocessing.normalisation,
            "device": device,
        }
        self._preprocessing, self._device = preprocessing, device
        try:
            with silenced_libraries():
                self._run = _onnx(file) if file.suffix == ".onnx" else _torch(file, device)
        except ImportError as error:
            raise SuspectError(
                f"{file} needs a package: {error.name}", f"Install it: pip install {error.name}"
            ) from None
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            raise SuspectError(
                f"{file} does not load ({first})", "Give TorchScript (.pt), torch.export (.pt2) or ONNX (.onnx)."
            ) from error

    @torch.no_grad()
    def answer(self, pictures: Pixels) -> Answers:
        """Scores for pictures (see `Classifier.answer`)."""
        rows = []
        for start in range(0, len(pictures), BATCH):
            inputs = self._preprocessing.tensor(pictures[start : start + BATCH]).to(self._device)
            try:
                rows.append(np.asarray(self._run(inputs), dtype=np.float64))
            except Exception as error:
                first = str(error).strip().partition("\n")[0]
                raise SuspectError(
                    f"{self.name} fails on pictures of {self._preprocessing.side} px ({first})",
                    "Check --input-size and --device, and that it takes batches of any size.",
                ) from error
        return answers_from_scores(np.concatenate(rows), self.name)


def _torch(file: Path, device: str) -> Any:
    module: Any
    if file.suffix == ".pt2":
        module = torch.export.load(file).module().to(device)
    else:
        module = torch.jit.load(str(file), map_location=device).eval()  # type: ignore[no-untyped-call]
    return lambda inputs: module(inputs).double().cpu().numpy()


def _onnx(file: Path) -> Any:
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {name: inputs.cpu().numpy()})[0]
