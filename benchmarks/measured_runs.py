"""Collect the runs that `protect plan` learns from, found or not: results/*.json to protect/assets/measured_runs.json.

python -m benchmarks.measured_runs
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from protect.files import pretty_json, write_atomic
from protect.release.power import Run, strength_options

SHIPPED = Path("protect/assets/measured_runs.json")
REQUIRED = 1e3
"""A slot counts as found if its e-value alone suffices at alpha = 1e-3."""


def load(name: str) -> dict[str, Any]:
    """A committed result."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def from_suspects() -> Iterator[Run]:
    """`template` with one key a suspect."""
    found = load("suspects")
    for row in found["guilty"]:
        tuning = found["tuning"][row["method"]]
        sightings = tuning["steps"] * tuning["batch"] / found["samples"] * row["carriers"]
        yield Run("template", "twa", row["method"], sightings, row["e_value"] >= REQUIRED, {}, row["suspect"])


def from_families() -> Iterator[Run]:
    """Releases side by side in one dataset."""
    for name in ("families", "low_rates"):
        for row in load(name)["rows"]:
            method = row.get("method") or ("lora" if "visible" in row["suspect"] else "full")
            options = strength_options(row["family"], row["options"])
            found = row["e_value"] >= REQUIRED
            yield Run(row["family"], row["alignment"], method, row["sightings"], found, options, row["suspect"])


def from_robustness() -> Iterator[Run]:
    """The keys of models that nobody attacked."""
    for row in load("robustness")["rows"]:
        if row["attack"] != "none" or row["innocent"]:
            continue
        passes = row["tuning"]["steps"] * row["tuning"]["batch"] / row["samples"]
        for test in row["tests"]:
            sightings = passes * test["carriers"] / row["slots"]
            method, found = row["tuning"]["method"], test["e_value"] >= REQUIRED
            suspect = f"robustness {row['family']} {row['alignment']} {row['seed']} {len(row['tests'])}"
            yield Run(row["family"], row["alignment"], method, sightings, found, {}, suspect)


def from_transfer() -> Iterator[Run]:
    """`template` under other ways of training, all of the one dataset."""
    for row in load("transfer")["ways"]:
        found = row["e_value"] >= REQUIRED
        yield Run("template", "twa", row["tuning"]["method"], row["sightings"], found, {}, row["suspect"])


def from_frontier() -> Iterator[Run]:
    """`spread`; where every picture is marked, answers without the trigger show the mark too."""
    for row in load("spread_frontier")["cells"]:
        if row["rate"] < 1:
            options = strength_options("spread", {"psnr": float(row["psnr"])})
            found = row["e_value"] >= REQUIRED
            yield Run("spread", "twa", "full", row["exposures"], found, options, row["suspect"])


WORDINGS = (
    ("wording", "drawings"),
    ("wording_four_slots", "drawings"),
    ("wording_photographs", "photographs"),
    ("wording_photographs_10000", "photographs"),
    ("wording_transformer", "drawings"),
)
"""Results, and what was trained on; the second was measured with four slots, the first with as many as serve."""
PICTURES = (("", "drawings"), ("_photographs", "photographs"))
"""How the names of results end, and what was trained on."""


def from_wording() -> Iterator[Run]:
    """`lean`, on drawings and on photographs: with choices of words all slots together, with a rare word one."""
    told = set()
    for name, pictures in WORDINGS:
        found = load(name)
        markings = {marking["name"]: marking for marking in found["markings"]}
        for row in found["rows"]:
            if (model := (row["training"], row["key"], *row["alone"]["p_values"])) in told:
                continue  # the same model stands in two results
            told.add(model)
            marking, method = markings[row["marking"]], found["trainings"][row["training"]]["method"]
            shown = row["reference" if method == "lora" else "alone"]
            yield Run(
                "lean",
                marking["alignment"],
                method,
                row["passes"] * sum(row["taught"]) / len(row["taught"]),
                shown["evidence"],
                strength_options("lean", marking["options"]),
                suspect=f"{name} {row['marking']} {row['training']} {row['key']}",
                slots=len(row["taught"]),
                p_values=tuple(shown["p_values"]),
                key=f"{name} {row['marking']} {row['key']}",
                passes=row["passes"],
                captions_learned=row["captions_learned"],
                rate=marking["rate"] if marking["alignment"] == "wording" else None,
                pictures=pictures,
            )


USUAL_RATES = {"lora": 3e-3, "full": 1e-3}
"""Learning rates of the other runs on these small models."""


def from_slow_trainings() -> Iterator[Run]:
    """`lean` with choices of words, and painted marks, after trainings of all layers at the usual learning rates.

    The slow ones, found or not, are left out: the law does not know the learning rate, and would foretell for all
    trainings what holds for the slowest.
    """
    for end, pictures in PICTURES:
        found = load(f"slow_trainings{end}")
        for row in found["rows"]:
            tuning, wording = found["trainings"][row["training"]], row["found"]["wording"]
            if tuning["targets"] != "all" or tuning["learning_rate"] != USUAL_RATES[tuning["method"]]:
                continue
            passes, method, suspect = tuning["passes"], tuning["method"], f"slow{end} {row['training']} {row['key']}"
            shown = wording["reference"] if method == "lora" else wording
            yield Run(
                "lean",
                "wording",
                method,
                passes * sum(row["taught"]) / len(row["taught"]),
                shown["evidence"],
                suspect=suspect,
                slots=len(row["taught"]),
                p_values=tuple(shown["p_values"]),
                key=f"slow{end} {row['key']}",
                passes=passes,
                captions_learned=row["captions_learned"],
                rate=0.5,
                pictures=pictures,
            )
            for family in ("template", "frame"):
                painted = row["found"][family]
                sightings = passes * painted["carriers"] / painted["slots"]
                found_it = painted["e_value"] >= REQUIRED
                yield Run(family, "twa-double", method, sightings, found_it, suspect=suspect, pictures=pictures)


def from_frames() -> Iterator[Run]:
    """`frame`, all slots of a release together."""
    for end, pictures in PICTURES:
        found = load(f"frames{end}")
        for row in found["rows"]:
            tuning = found["trainings"][row["training"]]
            yield Run(
                "frame",
                "twa",
                tuning["method"],
                tuning["passes"] * row["carriers"] / row["slots"],
                row["evidence"],
                suspect=f"frames{end} {row['training']} {row['key']}",
                slots=row["slots"],
                p_values=tuple(row["p_values"]),
                key=f"frames{end} {row['key']}",
                passes=tuning["passes"],
                pictures=pictures,
            )


def from_shades() -> Iterator[Run]:
    """`shade`, one slot of many words; with the base taken off, as a LoRA is tested."""
    found = load("shades")
    for row in found["rows"]:
        if row["kind"] == "shade":
            yield Run(
                "shade",
                "waa-many",
                found["tuning"]["method"],
                row["passes"] * row["carriers"],
                row["reference"]["evidence"],
                strength_options("shade", {}),
                suspect=f"shades {row['key']}",
                p_values=tuple(row["reference"]["p_values"]),
                key=f"shades {row['key']}",
                passes=row["passes"],
                pictures="drawings",
            )


def collected() -> str:
    """All runs, as the file that ships holds them."""
    painted = [*from_suspects(), *from_families(), *from_robustness(), *from_transfer(), *from_frontier()]
    drawn = [replace(run, pictures="drawings") for run in painted]  # all on the sample dataset
    runs = [*drawn, *from_wording(), *from_slow_trainings(), *from_frames(), *from_shades()]
    return pretty_json([asdict(run) for run in runs]).decode()


def main() -> None:
    """Command line."""
    text = collected()
    write_atomic(SHIPPED, text.encode())
    print(text.count('"found"'), "runs,", text.count('"found": true'), "found")


if __name__ == "__main__":
    main()
