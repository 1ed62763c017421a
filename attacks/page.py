"""The survival table as a page, worst case first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from protect.files import write_atomic


def write_page(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write one HTML page without external files.

    Args:
        path: the HTML file.
        rows: cells as `run_cells` gives them.

    Raises:
        InputError: if it cannot be written.
    """
    environment = Environment(loader=PackageLoader("attacks", "."), autoescape=select_autoescape(["j2"]))
    cells = [
        {"name": name, "found": sum(r["verdict"] == "evidence" for r in own), "n": len(own),
         "least": min(r["e_value"] for r in own), "psnr": own[0]["psnr"], "samples": own[0]["samples"], "cell": own[0]}
        for name, own in _grouped(rows).items()
    ]  # fmt: skip
    worst_first = sorted(cells, key=lambda c: (c["found"] / c["n"], c["least"]))
    html = environment.get_template("page.html.j2").render(cells=worst_first)
    write_atomic(path, html.encode())


def _grouped(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Cells that differ in their seed only."""
    out: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        name = f"{row['attack']} {row['strength']:g} {row['where']} {row['family']} {row['alignment']}"
        out.setdefault(name, []).append(row)
    return out
