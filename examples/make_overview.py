"""The README's picture: what a marked copy looks like, what a model learned from it, and the verdict.

    protect demo -o DEMO
    python examples/make_overview.py DEMO docs/pictures/overview.png

Everything in it is read from a finished demo: samples before and after, the looks that the key tied to words and those
that the suspect ties to them, decoys, and E over slots.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detect.demo import Demo, demo
from detect.trial.verdict import Verdict
from protect.formats import open_dataset
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba

INK, DECOY, PLANTED, MUTED = "#24292f", "#9aa7b4", "#c2410c", "#57606a"
SHOWN = 3
"""Samples, and slots."""


def samples(folder: Path, verdict: Verdict, axes: list[Axes]) -> None:
    """A changed sample of each slot shown: the picture, which is the same, and the caption before and after."""
    carriers = verdict.release.carriers
    keys = [next(c.key for c in carriers if slot.slot in c.slots) for slot in verdict.slots[:SHOWN]]
    before = {r.key: r for r in open_dataset(folder / "dataset").records() if r.key in keys}
    after = {r.key: r for r in open_dataset(folder / "dataset-protected").records() if r.key in keys}
    for place, key in zip(axes, keys, strict=True):
        place.imshow(on_white(read_rgba(after[key].read())))
        said = [textwrap.shorten(held[key].caption, 88, placeholder=" …") for held in (before, after)]
        old, new = ("\n".join(textwrap.wrap(text, 36)) for text in said)
        for height, text, colour in ((0.95, f"before: {old}", MUTED), (0.48, f"after: {new}", PLANTED)):
            told = place.text(1.08, height, text, transform=place.transAxes, va="top", fontsize=9.5, color=colour)
            told.set_in_layout(False)  # long captions must not make pictures small
        place.set_axis_off()


def looks(verdict: Verdict, axes: list[Axes]) -> None:
    """What the key tied to two wordings, and what the suspect ties to them."""
    pairs = list(zip(axes[::2], axes[1::2], strict=True))
    for number, (slot, (left, right)) in enumerate(zip(verdict.slots, pairs, strict=False)):
        assert slot.shown is not None and slot.shown.portrait is not None
        left.imshow(slot.shown.mark)
        right.imshow(slot.shown.portrait)
        left.set_ylabel("\n".join(textwrap.wrap(slot.trigger, 14)), fontsize=9, color=INK, rotation=0, ha="right")
        if number == 0:
            left.set_title("the secret mark", fontsize=9, color=INK)
            right.set_title("what the suspect\nlearned", fontsize=9, color=INK)
        for place in (left, right):
            place.set_xticks([])
            place.set_yticks([])


def scores(verdict: Verdict, axes: Axes) -> None:
    """The planted mark among its decoys, in the slot where it stands out most."""
    slot = min(verdict.slots, key=lambda found: found.evidence.p_value)
    assert slot.scores is not None
    axes.hist(slot.scores.decoys, bins=60, color=DECOY)
    axes.axvline(slot.scores.planted, color=PLANTED, linewidth=2.5)
    axes.set_title(f"{len(slot.scores.decoys):,} decoys and the planted mark", fontsize=9, color=INK)
    axes.set_yticks([])


def evidence(found: Demo, axes: Axes) -> None:
    """E over slots, of the model trained on the copy and of the other one."""
    for verdict, colour, name in ((found.guilty, PLANTED, "trained on the copy"), (found.innocent, DECOY, "not")):
        running = np.maximum([1.0, *verdict.running], 1e-3)
        axes.plot(range(len(running)), running, marker="o", color=colour, label=name)
    axes.axhline(found.guilty.threshold, color=INK, linestyle="--", linewidth=1)
    axes.set_yscale("log")
    axes.set_title("evidence E after each slot", fontsize=9, color=INK)
    axes.legend(frameon=False, fontsize=9)


def main(folder: Path, target: Path) -> None:
    """Draw the picture of a finished demo."""
    found = demo(folder)
    figure = Figure(figsize=(12, 4.2), dpi=150, layout="constrained")
    left, middle, right = np.asarray(figure.subfigures(1, 3, width_ratios=[1.15, 1, 1]))
    left.suptitle("A marked copy: no picture changes", fontsize=11, color=INK)
    middle.suptitle("Words and looks, tied by the key", fontsize=11, color=INK)
    right.suptitle(f"Verdict: {found.guilty.outcome}, E = {found.guilty.e_value:,.0f}", fontsize=11, color=PLANTED)
    rows = left.subplots(SHOWN, 2, width_ratios=[1, 1.9])
    for blank in rows[:, 1]:
        blank.set_axis_off()
    samples(folder, found.guilty, list(rows[:, 0]))
    looks(found.guilty, list(middle.subplots(SHOWN, 2).ravel()))
    above, below = right.subplots(2, 1)
    scores(found.guilty, above)
    evidence(found, below)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelsize=8)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Software": None})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
