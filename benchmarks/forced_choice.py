"""Which of two pictures was pushed? Sheets of pairs to look at, and how often an observer was right.

    python -m benchmarks.forced_choice make --work W --dataset PHOTOGRAPHS
    python -m benchmarks.forced_choice judge --work W     # after W/answers.csv was filled in: push,pair,side

A key marks 2 % of the photographs by `lean` with a push of 1, 1.5, 2 or 3 standard deviations. Each sheet shows
carriers beside their originals, left and right drawn by a seed. The observer must say of each pair which side is the
carrier ("left" or "right"); who sees nothing is right half of the time. The first line of the answers says who looked.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.common import Clock, interval, keyring_in, marked_copy, write_result
from protect.formats import open_dataset
from protect.keys.tree import secret_from_seed
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.release.plan import Options

PUSHES = (1.0, 1.5, 2.0, 3.0)
PAIRS, COLUMNS, SIDE, GAP = 12, 3, 192, 12
SIDES = ("left", "right")


def make(work: Path, dataset: Path) -> None:
    """Write a sheet for each push, and where the carriers are."""
    truth: dict[str, list[str]] = {}
    originals = {record.key: record for record in open_dataset(dataset).records()}
    for push in PUSHES:
        options = Options(rate=0.02, family="lean", alignment="wording", slots=1, family_options={"push": push})
        keyring, copy = keyring_in(work / f"keyring-{push:g}"), work / f"copy-{push:g}"
        secret = secret_from_seed(0, "forced choice")
        bound = marked_copy(dataset, copy, options, keyring, secret)
        keys = sorted(carrier.key for carrier in bound.release.carriers)
        rng = np.random.default_rng(round(10 * push))
        chosen = [keys[i] for i in rng.permutation(len(keys))[:PAIRS]]
        changed = {record.key: record for record in open_dataset(copy).records() if record.key in chosen}
        where = rng.integers(2, size=len(chosen)).tolist()
        pairs = []
        for key, right in zip(chosen, where, strict=True):
            both = [_small(record.read()) for record in (changed[key], originals[key])]
            pairs.append(both[::-1] if right else both)
        _sheet(pairs).save(work / f"sheet-{push:g}.png")
        truth[f"{push:g}"] = [SIDES[right] for right in where]
    (work / "truth.json").write_text(json.dumps(truth))


def _small(data: bytes) -> Image.Image:
    picture = Image.fromarray(on_white(read_rgba(data)))
    picture.thumbnail((SIDE, SIDE))
    return picture


def _sheet(pairs: list[list[Image.Image]]) -> Image.Image:
    rows = -(-len(pairs) // COLUMNS)
    cell = 2 * SIDE + 3 * GAP
    sheet = Image.new("RGB", (COLUMNS * cell, rows * (SIDE + 3 * GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, both in enumerate(pairs):
        x, y = number % COLUMNS * cell, number // COLUMNS * (SIDE + 3 * GAP)
        draw.text((x + GAP, y + 2), str(number + 1), fill="black")
        for place, picture in enumerate(both):
            sheet.paste(picture, (x + GAP + place * (SIDE + GAP), y + 2 * GAP))
    return sheet


def judge(work: Path) -> None:
    """Count right answers."""
    clock, truth = Clock(), json.loads((work / "truth.json").read_text())
    with (work / "answers.csv").open(newline="", encoding="utf-8") as file:
        observer = file.readline().strip().removeprefix("# ")
        rows = list(csv.DictReader(file))
    right: dict[str, list[bool]] = {push: [] for push in truth}
    for row in rows:
        right[row["push"]].append(truth[row["push"]][int(row["pair"]) - 1] == row["side"])
    found = {push: interval(sum(own), len(own)) for push, own in right.items() if own}
    write_result("forced_choice", {"observer": observer, "pixels": SIDE, "right": found}, clock())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["make", "judge"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--dataset", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if given.stage == "judge":
        judge(given.work)
    elif given.dataset:
        make(given.work, given.dataset)
    else:
        parser.error("--dataset is missing")


if __name__ == "__main__":
    main()
