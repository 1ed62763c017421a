"""Pages whose every figure comes from `benchmarks/results/`.

    python -m benchmarks.measured            # write the pages anew
    python -m benchmarks.measured --check    # fail if a page says anything else

Each page is a template in `benchmarks/pages/`; a figure is an expression that reads a result, so no figure can be
typed by hand. Some pages take in one of them between two markers.
"""

from __future__ import annotations

import json
import operator
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from protect.marks import BUILT_IN

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = {"measured.md.j2": ROOT / "docs" / "measured.md", "robustness.md.j2": ROOT / "docs" / "robustness.md"}
"""Templates and the pages they make."""
BLOCKS = {
    "headline.md.j2": ROOT / "README.md",
    "recipients.md.j2": ROOT / "docs" / "recipients.md",
    "classifiers.md.j2": ROOT / "docs" / "classifiers.md",
}
"""Templates and the pages that take them in."""
MARKERS = ("<!-- measured: written by benchmarks/measured.py -->\n", "<!-- end of measured -->\n")


@cache
def result(name: str) -> Mapping[str, Any]:
    """One committed result."""
    held: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return held


def counted(found: Mapping[str, Any], *, bounds: bool = True) -> str:
    """How many of how many, with the interval if there is one.

    >>> counted({"k": 4, "n": 4, "low": 0.3976, "high": 1.0, "confidence": 0.95})
    '4 of 4 (95 %: 40 to 100 %)'
    >>> counted({"k": 0, "n": 64})
    '0 of 64'
    """
    text = f"{found['k']} of {found['n']}"
    if not bounds or "low" not in found:
        return text
    low, high, sure = 100 * found["low"], 100 * found["high"], 100 * found["confidence"]
    return f"{text} ({sure:.3g} %: {low:.0f} to {high:.0f} %)"


def number(value: float, digits: int = 3) -> str:
    """A number for people: `digits` that count, thousands set apart.

    >>> number(583550.2), number(0.0123), number(9.25), number(2400)
    ('583,550', '0.0123', '9.25', '2,400')
    """
    if abs(value) >= max(1000, 10 ** (digits - 1)):
        return f"{value:,.0f}"
    return f"{float(f'{value:.{digits}g}'):g}"


def percent(value: float) -> str:
    """A share in per cent.

    >>> percent(0.974), percent(0.0238), percent(1.04)
    ('97 %', '2.4 %', '104 %')
    """
    return f"{number(100 * value, 2 if abs(value) < 0.995 else 3)} %"


def small(p_values: list[list[float]]) -> str:
    """How many of all slots have a p-value of at most 0.05.

    >>> small([[0.001, 0.02, 0.3], [0.04]])
    '3 of 4'
    """
    values = [p for own in p_values for p in own]
    return f"{sum(p <= 0.05 for p in values)} of {len(values)}"


def basis(name: str, *families: str) -> str:
    """What a figure rests on: file, commit, and the versions of families where these have changed since.

    Args:
        name: of the result.
        families: whose marks were measured.
    """
    held = result(name)
    commit = str(held["commit"])
    earlier = {row["commit"] for row in held.get("rows", ()) if "commit" in row} - {commit}
    commits = ", ".join([commit.removesuffix("-dirty"), *sorted(earlier)])
    notes = [f"[`{name}.json`](../benchmarks/results/{name}.json), commit{'s' * bool(earlier)} {commits}"]
    if commit.endswith("-dirty"):
        notes.append("**with changes not committed at the time**")
    for family in families:
        then, now = held["family_versions"].get(family), BUILT_IN[family].version
        if then != now:
            notes.append(f"**`{family}` was version {then}, now {now}**")
    return "; ".join(notes)


def rendered(template: str) -> str:
    """A page, or what is taken into one."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "pages")
    pages = jinja2.Environment(
        loader=loader, undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    pages.globals |= {"result": result, "basis": basis}
    pages.filters |= {"counted": counted, "number": number, "percent": percent, "small": small}
    pages.filters["item"] = operator.getitem
    return pages.get_template(template).render() + "\n"


def with_block(page: str, block: str) -> str:
    """A page with what stands between its markers replaced."""
    before, rest = page.split(MARKERS[0])
    _, after = rest.split(MARKERS[1])
    return before + MARKERS[0] + block + MARKERS[1] + after


def pages() -> dict[Path, str]:
    """All pages as they must be."""
    whole = {target: rendered(template) for template, target in PAGES.items()}
    return whole | {
        target: with_block(target.read_text(encoding="utf-8"), rendered(template))
        for template, target in BLOCKS.items()
    }


def main(arguments: list[str]) -> int:
    """Write the pages, or tell which of them say anything else."""
    wrong = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in wrong:
        print(f"{path.relative_to(ROOT)} does not say what the results say" if "--check" in arguments else path)
        if "--check" not in arguments:
            path.write_text(pages()[path], encoding="utf-8")
    return int("--check" in arguments and bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
