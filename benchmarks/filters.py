"""Which share of the carriers do a thief's filters take, and how much of the dataset? No training.

    python -m benchmarks.filters --work W --photos FOLDER

On the sample dataset (drawings on white, 2 % marked; `scene` 4 % in two slots) and on photographs with captions (here
100 of them, 10 % marked; no `scene`, as the miniature draws no photographs), three keys each.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from attacks.stages.registry import find_attack
from attacks.stages.samples import read_captioned
from benchmarks.common import Clock, keyring_in, marked_copy, write_result
from benchmarks.families import pool_of
from protect.keys.tree import secret_from_seed
from protect.release.plan import Options
from protect.sample import unpack_sample

FILTERS = (
    ("drop-outliers", 0.25),
    ("drop-outliers", 1.0),
    ("drop-clusters", 0.25),
    ("drop-clusters", 0.5),
    ("drop-residuals", 0.5),
    ("deduplicate", 0.4),
    ("drop-rings", 0.25),
    ("drop-rings", 0.5),
    ("drop-flagged", 1.0),
    ("drop-described", 1.0),
)
FAMILIES, KEYS = ("template", "card", "tint", "spread", "warp"), range(730, 733)


def taken(source: Path, work: Path, options: Options, key: int) -> list[dict[str, Any]]:
    """One row a filter: shares of each slot's carriers and of all samples that it takes."""
    target, secret = work / f"{source.name}-{options.family}-{key}", secret_from_seed(key, "filters")
    release = marked_copy(source, target, options, keyring_in(work / "keyring"), secret).release
    samples = read_captioned(target)
    rows = []
    for name, strength in FILTERS:
        left = {s.key for s in find_attack(name).on_data(samples, strength, secret)}
        rows.append(
            {
                "filter": name,
                "strength": strength,
                "of_all": 1 - len(left) / len(samples),
                "of_carriers": [
                    float(np.mean([c.key not in left for c in release.carriers if slot in c.slots]))
                    for slot in range(release.plan.slots)
                ],
            }
        )
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    args = parser.parse_args()
    clock, work = Clock(), args.work
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "drawings").exists():
        unpack_sample(work / "drawings")
    table: dict[str, Any] = {}
    for name, source, rate in (("drawings", work / "drawings", 0.02), ("photographs", args.photos, 0.1)):
        kinds = [Options(rate=rate, slots=1, family=family) for family in FAMILIES]
        if name == "drawings":
            pool = pool_of(source, work / "drawn", keyring_in(work / "keyring"))
            kinds.append(Options(rate=0.04, slots=2, family="scene", alignment="twa-conjunction", family_options=pool))
        for options in kinds:
            runs = [taken(source, work, options, key) for key in KEYS]
            table[f"{name}, {options.family}"] = [
                {
                    **rows[0],
                    "of_all": float(np.mean([r["of_all"] for r in rows])),
                    "of_carriers": [share for r in rows for share in r["of_carriers"]],
                }
                for rows in map(list, zip(*runs, strict=True))
            ]
            print(name, options.family, flush=True)
    write_result("filters", {"keys": list(KEYS), "found": table}, clock())


if __name__ == "__main__":
    main()
