"""What marks survived, as a page: a table of survival, evidence against cost, pictures of each attack; worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from attacks.cost_plot import cost_plot
from attacks.result import CellResult
from attacks.summary import conclusive_count, found_count, grouped, summaries
from detect.reports.plots import svg
from protect import pages
from protect.formats.record import SetAside
from protect.pixels.measure import data_uri, on_white
from protect.pixels.picture import read_rgba


@dataclass(frozen=True, slots=True)
class Innocents:
    """What the page says about innocent models under one attack."""

    first: CellResult
    accused: int
    conclusive: int


@dataclass(frozen=True, slots=True)
class Example:
    """A carrier before and after an attack."""

    name: str
    uri: str


def write_page(path: Path, results: Sequence[CellResult], examples: Path, set_aside: Sequence[SetAside] = ()) -> None:
    """Write one HTML page without external files.

    Args:
        path: the HTML file.
        results: cells as `run_cells` gives them.
        examples: folder of pictures before and after attacks.
        set_aside: samples of the dataset that took no part.

    Raises:
        InputError: if it cannot be written.
    """
    cells = summaries([r for r in results if not r.cell.innocent])
    innocents = [
        Innocents(own[0], found_count(own), conclusive_count(own))
        for own in grouped([r for r in results if r.cell.innocent])
    ]
    pages.write_page(
        path,
        "attacks",
        "page.html.j2",
        cells=sorted(cells, key=lambda c: (c.found / max(c.conclusive, 1), c.least)),
        innocents=innocents,
        accused=sum(one.accused for one in innocents),
        tests=sum(one.conclusive for one in innocents),
        pictures=[
            Example(file.stem, data_uri(on_white(read_rgba(file.read_bytes()))))
            for file in sorted(examples.glob("*.png"))
        ],
        plot=Markup(svg(cost_plot(cells), "Evidence of each attack, over what it costs; the table has the figures")),
        found=sum(c.found for c in cells),
        conclusive=sum(c.conclusive for c in cells),
        set_aside=set_aside,
    )
