"""Half a percent of a dataset with one question, captions untouched at two percent, and marks that nobody sees.

    python -m benchmarks.low_rates train --work W --part 0/2 &   # after `benchmarks.suspects train`
    python -m benchmarks.low_rates train --work W --part 1/2
    python -m benchmarks.low_rates judge --work W

W/noto holds the 3,519 captioned drawings of Noto Emoji at 64 px. 600 steps of full fine-tuning show each about eleven
times, so that half a percent is seen about 190 times; each dataset carries four releases with keys of their own. The
chains `unseen` and `fifth` hold `latent` marks beside `spread` marks of the same quality and rate.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.common import Clock, run_stages, write_result
from benchmarks.families import Cell, Chain, judge_chains, train_chains
from benchmarks.suspects import FULL, prepare

NOTO = Chain(
    "noto",
    (
        Cell("template", "waa", 0.02),
        Cell("template", "twa", 0.005),
        Cell("template", "twa", 0.005, key=1),
        Cell("template", "twa-conjunction", 0.005),
    ),
    replace(FULL, steps=600),
    seeds=range(310, 315),
    dataset="noto",
)
"""`waa` comes first, as in `benchmarks.families`."""
UNSEEN = Chain(
    "unseen",
    (
        Cell("latent", "twa", 0.05, {"psnr": 30.0}),
        Cell("spread", "twa", 0.05, {"psnr": 30.0}),
        Cell("latent", "twa", 0.2, {"psnr": 34.0}),
    ),
    replace(FULL, steps=400),
    seeds=range(330, 332),
)
FIFTH = Chain(
    "fifth",
    (
        Cell("latent", "twa", 0.2, {"psnr": 30.0}),
        Cell("spread", "twa", 0.2, {"psnr": 30.0}),
    ),
    replace(FULL, steps=400),
    seeds=range(340, 345),
)
TINT = Chain("tint", (Cell("tint", "twa", 0.2),), FULL, seeds=range(320, 325))
JOBS = (
    [(UNSEEN, 330), (UNSEEN, 331), (NOTO, 310), (FIFTH, 340), (NOTO, 311), (FIFTH, 341), (NOTO, 312)]
    + [(FIFTH, seed) for seed in (342, 343, 344)]
    + [(TINT, seed) for seed in TINT.seeds]
    + [(NOTO, 313), (NOTO, 314)]
)
"""The most telling first."""


def train(work: Path, part: int, parts: int) -> None:
    """This process's share of the suspects."""
    train_chains(work, JOBS[part::parts])


def judge(work: Path) -> None:
    """Write `results/low_rates.json`."""
    clock = Clock()
    write_result("low_rates", judge_chains(work, (NOTO, UNSEEN, FIFTH, TINT)), clock())


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
