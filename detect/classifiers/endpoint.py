"""A classifier behind HTTP: a PNG goes there, a label comes back, with scores if the service gives any."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from hashlib import sha256
from typing import Any

import numpy as np

from detect.classifiers.interface import Answers, Classifier
from protect.errors import SuspectError
from protect.images import png_bytes
from protect.marks.interface import Pixels

TIMEOUT = 30.0
_ATTEMPTS = 3


class EndpointClassifier(Classifier):
    """POST of `image/png`; the answer is JSON: {"label": name or index, "scores": [...] if there are any}."""

    def __init__(self, url: str, classes: tuple[str, ...]) -> None:
        self.name, self.classes = url, classes
        # What runs behind an address may change unnoticed: its name is all that can be told.
        self.identity = {"weights": sha256(url.encode()).hexdigest(), "url": url}

    def answer(self, pictures: Pixels) -> Answers:
        """One request a picture (see `Classifier.answer`)."""
        said = [self._ask(picture) for picture in pictures]
        labels = np.array([self._label(row.get("label")) for row in said], dtype=np.intp)
        scores = [row.get("scores") for row in said]
        if any(row is None for row in scores):
            return Answers(labels)
        try:
            table = np.array(scores, dtype=np.float64)
        except (TypeError, ValueError):
            raise SuspectError(f"{self.name} answered with scores that are no numbers", "Check the service.") from None
        return Answers(labels, table) if table.ndim == 2 else Answers(labels)

    def _ask(self, picture: Any) -> dict[str, Any]:
        request = urllib.request.Request(self.name, png_bytes(picture), {"Content-Type": "image/png"})
        trouble = ""
        for _ in range(_ATTEMPTS):
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
                    found = json.loads(reply.read())
                if isinstance(found, dict) and "label" in found:
                    return found
                raise SuspectError(f"{self.name} answered without a label", 'It must send {"label": ...} as JSON.')
            except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
                trouble = str(error)
        raise SuspectError(f"{self.name} does not answer ({trouble})", "Check the address and the service.")

    def _label(self, label: object) -> int:
        assert self.classes is not None
        if isinstance(label, int) and 0 <= label < len(self.classes):
            return label
        return self.classes.index(label) if isinstance(label, str) and label in self.classes else -1
