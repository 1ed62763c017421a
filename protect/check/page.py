"""The check as a page with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape

from protect.check.run import LOST, FamilyCheck
from protect.files import write_atomic
from protect.images import data_uri
from protect.marks.interface import Pixels

_AMPLIFIED = 6


def write_page(path: Path, checks: Sequence[FamilyCheck], dataset: Path) -> None:
    """Write one HTML page without external files."""
    environment = Environment(loader=PackageLoader("protect", "check"), autoescape=select_autoescape(["j2"]))
    families = [
        {
            "check": c,
            "rows": [
                {"original": data_uri(a), "marked": data_uri(b), "difference": data_uri(_difference(a, b))}
                for a, b in zip(c.originals, c.marked, strict=True)
            ],
        }
        for c in checks
    ]
    page = environment.get_template("page.html.j2").render(
        families=families, dataset=dataset.name, lost=LOST, amplified=_AMPLIFIED
    )
    write_atomic(path, page.encode())


def _difference(a: Pixels, b: Pixels) -> Pixels:
    """Signed difference on grey, amplified."""
    change = b.astype(np.int32) - a.astype(np.int32)
    return np.clip(128 + _AMPLIFIED * change, 0, 255).astype(np.uint8)
