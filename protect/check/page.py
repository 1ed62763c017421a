"""The check as a page with pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from protect import pages
from protect.check.result import LOST, Check, FamilyCheck, Look
from protect.keys.tree import prf_rng
from protect.marks.family import Pixels

SHOWN = 4
"""Pictures of each family on the page."""
LEAST_WIDTH = 320
"""Of pictures on the page, in pixels."""
AMPLIFIED = 6
"""By how much differences are shown larger than they are."""
_PACKAGE = "protect.check"


@dataclass(frozen=True, slots=True)
class _Row:
    """A picture three times, as data URIs."""

    original: str
    marked: str
    difference: str
    width: int
    height: int

    @property
    def small(self) -> bool:
        """Whether the page shows it larger than it is."""
        return self.width < LEAST_WIDTH


@dataclass(frozen=True, slots=True)
class _Part:
    """One family on the page."""

    check: FamilyCheck
    rows: Sequence[_Row]


def write_page(path: Path, found: Check, title: str) -> None:
    """Write one HTML page without external files.

    Args:
        path: the HTML file.
        found: with its pictures.
        title: name of the dataset.
    """
    parts = [_Part(c, [_row(look) for look in c.looks[:SHOWN]]) for c in found.families]
    pages.write_page(
        path,
        _PACKAGE,
        "page.html.j2",
        parts=parts,
        set_aside=found.set_aside,
        dataset=title,
        lost=LOST,
        amplified=AMPLIFIED,
    )


def write_choices(path: Path, found: Check, secret: bytes) -> None:
    """Write a forced-choice page: original and carrier side by side, and the viewer says which one is marked.

    Args:
        path: the HTML file.
        found: with its pictures.
        secret: throw-away; draws sides and order.
    """
    rng = prf_rng(secret, "choices")
    trials = []
    for check in found.families:
        for look in check.looks:
            side = int(rng.integers(2))
            pair = [data_uri(look.original), data_uri(look.marked)]
            trials.append({"family": check.family, "marked": side, "pictures": pair if side else pair[::-1]})
    pages.write_page(path, _PACKAGE, "choice.html.j2", trials=[trials[i] for i in rng.permutation(len(trials))])


def _row(look: Look) -> _Row:
    height, width = look.original.shape[:2]
    return _Row(data_uri(look.original), data_uri(look.marked), data_uri(difference(look)), width, height)


def difference(look: Look) -> Pixels:
    """The signed difference on grey, amplified; RGB."""
    change = look.marked.astype(np.int16) - look.original
    return np.asarray(np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8))


def data_uri(picture: Pixels) -> str:
    """An RGB picture for a page without external files, not a pixel changed: lossless WebP."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="WEBP", lossless=True, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
