"""A classifier behind HTTP: a PNG goes there, a label comes back, with scores if the service gives any."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from hashlib import sha256
from typing import Any

import numpy as np

from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.suspects.classifiers.labels import indices, with_scores
from protect.errors import SuspectError
from protect.marks.family import Pixels
from protect.pixels.measure import png_bytes

TIMEOUT = 30.0
_ATTEMPTS = 3


class EndpointClassifier(Classifier):
    """POST of `image/png`; the answer is JSON: {"label": name or index, "scores": [...] if there are any}."""

    def __init__(self, url: str, classes: tuple[str, ...], *, positions: bool) -> None:
        self.name, self.classes, self._positions = url, classes, positions
        # What runs behind an address may change unnoticed: its name is all that can be told.
        self.identity = {"weights": sha256(url.encode()).hexdigest(), "url": url}

    def answer(self, pictures: Pixels) -> Answers:
        """One request a picture (see `Classifier.answer`)."""
        said = [self._ask(picture) for picture in pictures]
        assert self.classes is not None
        labels = indices([row["label"] for row in said], self.classes, self._positions, self.name)
        scores = [row.get("scores") for row in said]
        if any(row is None for row in scores):
            return Answers(labels)
        try:
            return with_scores(labels, np.array(scores, dtype=np.float64), self.name)
        except (TypeError, ValueError):
            raise SuspectError(f"{self.name} answered with scores that are no table", "Check the service.") from None

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
