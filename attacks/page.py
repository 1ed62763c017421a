"""What marks survived, as a page: a map of survival, evidence against cost, pictures of each attack; worst first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detect.reports.plots import svg
from protect.files import write_atomic
from protect.pixels.images import data_uri, read_rgba


def write_page(path: Path, rows: Sequence[dict[str, Any]], examples: Path) -> None:
    """Write one HTML page without external files.

    Args:
        path: the HTML file.
        rows: cells as `run_cells` gives them.
        examples: folder of pictures before and after attacks.

    Raises:
        InputError: if it cannot be written.
    """
    guilty = [row for row in rows if not row["innocent"]]
    cells = summaries(guilty)
    worst_first = sorted(cells, key=lambda c: (c["found"] / max(c["n"], 1), c["least"]))
    pictures = [
        {"name": file.stem, "uri": data_uri(read_rgba(file)[..., :3])} for file in sorted(examples.glob("*.png"))
    ]
    innocents = [
        {"cell": own[0], "accused": sum(t["verdict"] == "evidence" for t in tests(own)), "n": conclusive(own)}
        for own in grouped([row for row in rows if row["innocent"]])
    ]
    environment = Environment(loader=PackageLoader("attacks", "."), autoescape=select_autoescape(["j2"]))
    html = environment.get_template("page.html.j2").render(
        cells=worst_first,
        pictures=pictures,
        innocents=innocents,
        plot=Markup(svg(cost_plot(cells))),
        found=sum(c["found"] for c in cells),
        n=sum(c["n"] for c in cells),
    )
    write_atomic(path, html.encode())


def grouped(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Cells that differ in their seed only."""
    out: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        same = ("attack", "strength", "where", "family", "alignment")
        out.setdefault(tuple(row[key] for key in same), []).append(row)
    return list(out.values())


def tests(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tests of cells, one a key."""
    return [test for row in rows for test in row["tests"]]


def conclusive(rows: Sequence[dict[str, Any]]) -> int:
    """How many tests of cells came to a conclusion."""
    return sum(test["verdict"] != "inconclusive" for test in tests(rows))


def cost(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> tuple[float, float] | None:
    """What an attack costs the thief beside the same key without attack.

    Returns:
        (relative rise of the denoising loss, rise of the kernel distance), or None if that cell was not run. The first
        is 0 where neither the model nor what it is told was struck.
    """
    same = ("family", "alignment", "seed")
    plain = [r for r in rows if r["attack"] == "none" and all(r[key] == row[key] for key in same)]
    if not plain or row["innocent"]:
        return None
    before = plain[0]["denoising_loss"]
    return row.get("denoising_loss", before) / before - 1, row["kernel_distance"] - plain[0]["kernel_distance"]


def summaries(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page tells about each kind of cell of guilty models."""
    return [_cell(own, rows) for own in grouped(rows)]


def _cell(own: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    costs = [c for row in own if (c := cost(row, rows)) is not None]
    mean = np.mean(costs, axis=0).tolist() if costs else None
    made = tests(own)
    return {
        "cell": own[0],
        "found": sum(t["verdict"] == "evidence" for t in made),
        "cost": mean,
        "n": conclusive(own),
        "reason": next((t["reason"] for t in made if t["verdict"] == "inconclusive"), ""),
        "least": min(t["e_value"] for t in made),
        "alpha": own[0]["alpha"],
        "evidence": float(np.exp(np.mean([np.log(max(t["e_value"], 1e-3)) for t in made]))),
    }


def cost_plot(cells: Sequence[dict[str, Any]]) -> Figure:
    """Evidence against what the attack costs; strengths of one attack are joined, and what stands apart is named."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    priced = [c for c in cells if c["cost"] is not None]
    far = 0.1 * max((c["cost"][1] for c in priced), default=0.0)
    axes.set(
        yscale="log",
        xlabel="rise of the kernel distance between the model's pictures and real ones",
        ylabel="evidence E (line: 1 / α)",
    )
    axes.set_xscale("symlog", linthresh=10)  # most attacks cost next to nothing, refusals very much
    for cell in priced:
        colour = "#15803d" if cell["found"] == cell["n"] > 0 else "#c2410c"
        axes.scatter(cell["cost"][1], cell["evidence"], s=26, color=colour, zorder=3)
    _name(axes, [c for c in priced if c["cost"][1] > far or c["found"] < c["n"]])
    for curve in _curves(priced):
        axes.plot([c["cost"][1] for c in curve], [c["evidence"] for c in curve], color="#9aa7b4", linewidth=1)
    if cells:
        axes.axhline(1 / cells[0]["alpha"], color="#888888", linestyle="--", linewidth=1)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _name(axes: Axes, cells: Sequence[dict[str, Any]]) -> None:
    """Names beside points, from below; one that would lie on another is pushed up."""
    taken: list[tuple[float, float]] = []
    for cell in sorted(cells, key=lambda c: float(c["evidence"])):
        point = (cell["cost"][1], cell["evidence"])
        x, y = axes.transData.transform(point) * 72 / axes.figure.dpi  # in points of type
        place = y + 3
        while any(abs(x - left) < 90 and abs(place - height) < 8 for left, height in taken):
            place += 1
        taken.append((x, place))
        name = f"{cell['cell']['attack']}, {cell['cell']['where']}"
        axes.annotate(name, point, xytext=(6, place - y), textcoords="offset points", fontsize=7)


def _curves(cells: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Cells of one attack by rising strength, where there are several."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for cell in sorted(cells, key=lambda c: float(c["cell"]["strength"])):
        found.setdefault(tuple(cell["cell"][key] for key in ("attack", "where", "family", "alignment")), []).append(
            cell
        )
    return [curve for curve in found.values() if len(curve) > 1]
