"""A classifier behind HTTP: a PNG goes there, a label comes back, with scores if the service gives any."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np

from detect.suspects.address import check_address, key_from_environment
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.suspects.classifiers.labels import indices, with_scores
from detect.suspects.client import Client
from detect.suspects.reply import Limits, Reply
from protect.errors import SuspectError
from protect.marks.family import Pixels
from protect.pixels.measure import png_bytes

LIMITS = Limits(timeout=30.0, attempts=3, bytes=8 << 20)


class EndpointClassifier(Classifier):
    """POST of `image/png`; the answer is JSON: {"label": name or index, "scores": [...] if there are any}."""

    def __init__(self, url: str, classes: tuple[str, ...], *, positions: bool) -> None:
        address = check_address(url)
        self._client = Client(address, key_from_environment(address), LIMITS)
        self.name, self.classes, self._positions = address, classes, positions
        # What runs behind an address may change unnoticed: its name is all that can be told.
        self.identity = {"weights": sha256(address.encode()).hexdigest(), "url": address}

    def answer(self, pictures: Pixels) -> Answers:
        """One request a picture (see `Classifier.answer`)."""
        said = [self._client.post(self.name, png_bytes(picture), "image/png", self._row) for picture in pictures]
        assert self.classes is not None
        labels = indices([row["label"] for row in said], self.classes, self._positions, self.name)
        scores = [row.get("scores") for row in said]
        if any(row is None for row in scores):
            return Answers(labels)
        try:
            return with_scores(labels, np.array(scores, dtype=np.float64), self.name)
        except (TypeError, ValueError):
            raise SuspectError(f"{self.name} answered with scores that are no table", "Check the service.") from None

    def _row(self, reply: Reply) -> dict[str, Any]:
        found = self._client.expect_success(reply).json()
        if not isinstance(found, dict) or "label" not in found:
            raise SuspectError(f"{self.name} answered without a label", 'It must send {"label": ...} as JSON.')
        return found
