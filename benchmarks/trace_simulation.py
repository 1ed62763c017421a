"""Colluders in simulation: who is named, and whether ever an innocent, with signal and noise as measured.

    python -m benchmarks.trace_simulation

The pictures are those of the sample dataset; what a model shows of one copy is as likely as `protect plan` has it
measured (`detect.trace.simulation`). Marks are drawn from ids, as the program draws them.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Clock, interval, write_result
from detect.trace.collusion import STRATEGIES
from detect.trace.evidence import Suspicion, yardstick
from detect.trace.simulation import Learner, copies_of, taught
from protect.evidence import Array
from protect.formats import open_dataset
from protect.marks.directions import directions
from protect.marks.looks import LooksFit, glance
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.release.power import measured_runs
from protect.release.tracing import likeness_of, slots_needed
from protect.sample import unpack_sample

ALPHA = 1e-3
SLOTS = 8
"""Choices of words that go together in the sample's captions."""
SIGHTINGS = 9_600
"""Four passes."""
WELL = 0.9
"""Likeness of a model that has learned every slot well."""
RECIPIENTS = (50, 10_000, 1_000_000)
COLLUDERS = (1, 2, 3, 5)
TRIALS, DECOYS = 200, 20_000
CROWDS, INNOCENTS = 10, 20_000
"""Innocent recipients: so many are held against what each of the first trials shows."""
LOOSE = 0.05
"""A level at which wrong names would be seen."""


def sample_looks() -> Array:
    """Looks of the sample's pictures, shape (n, d)."""
    with tempfile.TemporaryDirectory() as place:
        unpack_sample(Path(place) / "sample")
        records = open_dataset(Path(place) / "sample").records()
        glances = np.concatenate([glance(on_white(read_rgba(record.read()))[None]) for record in records])
    fit = LooksFit()
    fit.add(glances)
    return fit.looks().of_glances(glances)


def marks_of(rng: np.random.Generator, count: int, slots: int, length: int) -> Array:
    """Marks of recipients, shape (count, slots, length)."""
    ids = rng.integers(0, 2**64, (count, slots), dtype=np.uint64)
    return np.stack([directions(ids[:, slot], 1, length)[:, 0] for slot in range(slots)], axis=1)


def evidence(shown: Array, marks: Array, decoys: list[Array]) -> Array:
    """Logarithm of E against recipients with these marks; shape (n,)."""
    suspicion = Suspicion(len(marks))
    for slot, (effect, own) in enumerate(zip(shown, decoys, strict=True)):
        known, scores = yardstick(own @ effect), marks[:, slot] @ effect
        suspicion.add(lambda places, known=known, scores=scores: known.log_e_values(scores[places]))  # type: ignore[misc]
    return suspicion.peaks


@dataclass(frozen=True)
class Drawn:
    """What all cells have in common."""

    looks: Array
    decoys: list[Array]
    """Of each slot, shape (DECOYS, d)."""
    crowds: list[Array]
    """Marks of innocents, shape (INNOCENTS, slots, d)."""
    whole: float
    """Size of what one copy teaches."""


def drawn(looks: Array) -> Drawn:
    """Draw decoys and innocents."""
    rng, length = np.random.default_rng(0), looks.shape[1]
    decoys = marks_of(rng, DECOYS, SLOTS, length)
    whole = float(np.linalg.norm(lesson_of_one(looks, rng), axis=1).mean())
    crowds = [marks_of(rng, INNOCENTS, SLOTS, length) for _ in range(CROWDS)]
    return Drawn(looks, [decoys[:, slot] for slot in range(SLOTS)], crowds, whole)


def cell(common: Drawn, likeness: Array, strategy: str, colluders: int, rng: np.random.Generator) -> dict[str, Any]:
    """One strategy with so many colluders."""
    peaks, wrong, high, left = [], 0, 0, []
    for trial in range(TRIALS):
        marks = marks_of(rng, colluders, SLOTS, common.looks.shape[1])
        merged = STRATEGIES[strategy](copies_of(common.looks, marks), rng)
        left.append(len(merged.samples))
        learner = Learner(rng.choice(likeness, SLOTS), common.whole)
        shown = learner.shows(taught(common.looks, merged), rng)
        peaks.append(evidence(shown, marks, common.decoys))
        if trial < CROWDS:
            innocent = evidence(shown, common.crowds[trial], common.decoys)
            wrong += bool((innocent >= np.log(INNOCENTS / LOOSE)).any())
            high += int((innocent >= np.log(100)).sum())
    strongest = np.array([found.max() for found in peaks])
    needed = {str(n): np.log(n / ALPHA) for n in RECIPIENTS}
    return {
        "strategy": strategy,
        "colluders": colluders,
        "samples_left": int(np.median(left)),
        "median_e": float(np.exp(np.median(strongest))),
        "named": {n: float((strongest >= least).mean()) for n, least in needed.items()},
        "all_named": {n: float(np.mean([found.min() >= least for found in peaks])) for n, least in needed.items()},
        "innocents": CROWDS * INNOCENTS,
        "wrong_names": interval(wrong, CROWDS),
        "innocents_with_e_of_100": high,
    }


def lesson_of_one(looks: Array, rng: np.random.Generator) -> Array:
    """What a single copy teaches, shape (slots, d)."""
    marks = marks_of(rng, 1, SLOTS, looks.shape[1])
    return taught(looks, STRATEGIES["union"](copies_of(looks, marks), rng))


def main() -> None:
    """Command line."""
    clock, looks = Clock(), sample_looks()
    common = drawn(looks)
    kind = ("lean", "wording", "lora", SIGHTINGS)
    runs = [run for run in measured_runs() if (run.family, run.alignment, run.method, run.sightings) == kind]
    measured = likeness_of(np.array([p for run in runs for p in run.p_values]), looks.shape[1])
    signals = {"as measured": measured, "learned well": np.array([WELL])}
    rows: list[dict[str, Any]] = []
    for signal, likeness in signals.items():
        for colluders in COLLUDERS:
            for strategy in STRATEGIES if colluders > 1 else ["by sample"]:
                rng = np.random.default_rng([len(rows), colluders])
                rows.append({"signal": signal, **cell(common, likeness, strategy, colluders, rng)})
    needed = {f"{c} of {n}": slots_needed(runs, n, c, ALPHA, looks.shape[1]) for n in RECIPIENTS for c in COLLUDERS}
    data = {
        "slots": SLOTS,
        "trials": TRIALS,
        "level_of_wrong_names": LOOSE,
        "likeness": sorted(round(float(value), 3) for value in measured),
        "models": len({run.suspect for run in runs}),
        "slots_needed": needed,
        "rows": rows,
    }
    write_result("trace_simulation", data, clock())


if __name__ == "__main__":
    main()
