"""The check as a page with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape

from protect.check.run import LOST, FamilyCheck
from protect.files import write_atomic
from protect.keys.tree import prf_rng
from protect.marks.family import Pixels
from protect.pixels.images import data_uri

_AMPLIFIED = 6
_SHOWN = 6


def write_page(path: Path, checks: Sequence[FamilyCheck], dataset: Path) -> None:
    """Write one HTML page without external files."""
    families = [
        {
            "check": c,
            "rows": [
                {"original": data_uri(a), "marked": data_uri(b), "difference": data_uri(_difference(a, b))}
                for a, b in zip(c.originals[:_SHOWN], c.marked[:_SHOWN], strict=True)
            ],
        }
        for c in checks
    ]
    _write(path, "page", families=families, dataset=dataset.name, lost=LOST, amplified=_AMPLIFIED)


def write_choices(path: Path, checks: Sequence[FamilyCheck], secret: bytes) -> None:
    """Write a forced-choice page: original and carrier side by side, and the viewer says which one is marked.

    Args:
        path: the HTML file.
        checks: with their pictures.
        secret: throw-away; draws sides and order.
    """
    rng = prf_rng(secret, "choices")
    trials = []
    for check in checks:
        for original, marked in zip(check.originals, check.marked, strict=True):
            side = int(rng.integers(2))
            pair = [data_uri(original), data_uri(marked)]
            trials.append({"family": check.family, "marked": side, "pictures": pair if side else pair[::-1]})
    _write(path, "choice", trials=[trials[i] for i in rng.permutation(len(trials))])


def _write(path: Path, template: str, **content: object) -> None:
    environment = Environment(loader=PackageLoader("protect", "check"), autoescape=select_autoescape(["j2"]))
    write_atomic(path, environment.get_template(f"{template}.html.j2").render(**content).encode())


def _difference(a: Pixels, b: Pixels) -> Pixels:
    """Signed difference on grey, amplified."""
    change = b.astype(np.int32) - a.astype(np.int32)
    return np.clip(128 + _AMPLIFIED * change, 0, 255).astype(np.uint8)
