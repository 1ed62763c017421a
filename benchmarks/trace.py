"""Who leaked it? Recipients' copies learned by real models: who is named, and what several recipients get away with.

    python -m benchmarks.trace train --work W --part 0/2 &
    python -m benchmarks.trace train --work W --part 1/2
    python -m benchmarks.trace judge --work W

One release of the sample dataset is issued to fifty recipients. The miniature is tuned on single copies, and on what
two or three recipients make of their copies (`detect.trace.collusion`); each model is held against all fifty, and
against 10^4 and 10^6 recipients, of whom the others have copies that nobody learned. Models that learned no copy are
held against many recipients under fresh keys.
"""

from __future__ import annotations

import resource
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Clock, interval, measured_once, run_stages, write_result
from benchmarks.trace_sets import (
    MARKING,
    RECIPIENTS,
    SETS,
    Suspected,
    prepare_copies,
    release_of,
    suspected,
    training_set,
)
from benchmarks.wording import LORA, Training, base_of, loaded
from detect.suspects.images import Suspect, load_suspect
from detect.trace.evidence import Suspicion
from detect.trace.look import TraceTrial
from detect.trace.slots import by_draws, decoys_of
from detect.trace.trace import trace
from detect.trace.tracing import Tracing
from detect.training.rehearse import train_suspect
from detect.trial.questions import query_plan
from detect.trial.score import slot_answers
from detect.trial.transcript import Transcript
from protect.evidence import rank_p_value
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import KeyTree, recipients_draws, secret_from_seed, slot_seed
from protect.progress import no_progress
from protect.release.bound import BoundRelease
from protect.release.power import Run
from protect.release.tracing import slots_needed

TRAINING = Training("lora-4", replace(LORA, precision="bf16"), 4)
FEWEST = 200
"""Samples that colluders must be left with to train on."""
CROWDS = (10_000, 1_000_000)
MILLIONS = 6
"""Models of each kind that are held against a million."""
FRESH_KEYS, FRESH_RECIPIENTS = 100, 2_000
ALPHAS = (1e-3, 0.05)


def train(work: Path, part: int, parts: int, training: Training = TRAINING) -> None:
    """Train this part's models; what is finished stays."""
    for number, one in enumerate(suspected()):
        if number % parts == part and not (work / one.name).exists():
            source = training_set(work, one)
            samples = sum(1 for _ in open_dataset(source).records())
            if samples >= FEWEST:
                # A union shows every picture once for each copy: as many pictures are shown as to the others.
                seen = samples if one.strategy != "union" else samples // len(one.sources)
                train_suspect(base_of(work), source, work / one.name, training.options(seen, number))
    for seed in range(2):
        target = work / f"innocent-{seed}"
        if seed % parts == part and not target.exists():
            samples = sum(1 for _ in open_dataset(work / "dataset").records())
            train_suspect(base_of(work), work / "dataset", target, training.options(samples, seed))


def traced(work: Path, suspect: Suspect, recipients: int) -> Tracing:
    """Under a ledger of its own, so that every number of recipients is the first look."""
    bound, keyring = release_of(work)
    ledger = Keyring(work / "ledgers" / f"{suspect.name}-{recipients}")
    shutil.copytree(keyring.home, ledger.home, dirs_exist_ok=True)
    base = load_suspect(base_of(work))
    reference = None if suspect.name == base.name else base
    return trace(bound, suspect, ledger, work / "cache", range(1, recipients + 1), reference=reference)


def row_of(work: Path, one: Suspected, *, million: bool) -> dict[str, Any]:
    """One model against all recipients; measured once."""
    return measured_once(work / "rows" / f"{one.name}.json", lambda: _row(work, one, million=million))


def _row(work: Path, one: Suspected, *, million: bool) -> dict[str, Any]:
    suspect = loaded(work / one.name, "lora", base_of(work))
    row: dict[str, Any] = {"sources": one.sources, "strategy": one.strategy or "single", "among": {}}
    for recipients in (RECIPIENTS, *CROWDS[: 2 if million else 1]):
        clock = Clock()
        found = traced(work, suspect, recipients)
        named = {source.serial: source.e_value for source in found.sources}
        row["among"][str(recipients)] = {
            "outcome": found.outcome,
            "named": named,
            "wrong": sorted(set(named) - set(one.sources)),
            "some_copy": found.some,
            "some_copy_found": found.some >= found.threshold / recipients,
            "threshold": found.threshold,
            "seconds": round(clock(), 1),
            "most_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
    row["p_values"] = {serial: p_values(work, suspect, serial) for serial in one.sources}
    return row


def heard(work: Path, suspect: Suspect) -> tuple[BoundRelease, Transcript]:
    """All answers of a model, from the cache."""
    bound, _ = release_of(work)
    base = load_suspect(base_of(work))
    trial = TraceTrial(bound, query_plan(bound.release), None if suspect.name == base.name else base)
    transcript = trial.opened(suspect)
    for slot in bound.slots:
        transcript = trial.ask(suspect, transcript, slot.number, work / "cache", no_progress)
    return bound, transcript


def p_values(work: Path, suspect: Suspect, serial: int) -> list[float]:
    """Rank of a recipient's mark among the decoys, slot by slot."""
    bound, transcript = heard(work, suspect)
    found = []
    for slot in bound.slots:
        part = transcript.part(slot.number)
        assert part is not None
        own = recipients_draws(
            slot_seed(bound.release.secret, slot.number), bound.release.coin, range(serial, serial + 1), "mark"
        )
        decoys = slot.key.decoys(decoys_of(slot))
        scores = slot.family.score(slot_answers(slot, transcript, part), np.concatenate([own, decoys]))
        found.append(rank_p_value(float(scores[0]), scores[1:]))
    return found


def innocent_row(work: Path, name: str) -> dict[str, Any]:
    """A model that learned no copy, against many recipients under fresh keys; measured once."""
    return measured_once(work / "rows" / f"innocent-{name}.json", lambda: _innocent_row(work, name))


def _innocent_row(work: Path, name: str) -> dict[str, Any]:
    base = base_of(work)
    suspect = load_suspect(base) if name == "untuned" else loaded(work / name, "lora", base)
    bound, transcript = heard(work, suspect)
    peaks = np.stack([_peaks(bound, transcript, seed) for seed in range(FRESH_KEYS)])
    return {
        "model": name,
        "keys": FRESH_KEYS,
        "recipients": FRESH_RECIPIENTS,
        "keys_with_a_wrong_name": {
            str(alpha): int((peaks >= np.log(FRESH_RECIPIENTS / alpha)).any(axis=1).sum()) for alpha in ALPHAS
        },
        "innocents_with_e_of_100": int((peaks >= np.log(100)).sum()),
    }


def _peaks(bound: BoundRelease, transcript: Transcript, seed: int) -> Any:
    """Evidence against all recipients of a fresh key, by the same answers: no question follows from a mark."""
    secret = secret_from_seed(seed, "benchmark trace, innocents")
    release, suspicion = replace(bound.release, secret=secret), Suspicion(FRESH_RECIPIENTS)
    for slot in bound.slots:
        part = transcript.part(slot.number)
        assert part is not None
        fresh = replace(slot, key=KeyTree(secret, release.coin).slot(slot.number))
        answers = slot_answers(slot, transcript, part)
        suspicion.add(by_draws(fresh, answers, release, range(1, FRESH_RECIPIENTS + 1)))
    return suspicion.peaks


def judge(work: Path) -> None:
    """Collect what was measured."""
    clock, made, seen = Clock(), [one for one in suspected() if (work / one.name).exists()], dict[str, int]()
    rows = []
    for one in made:
        kind = one.strategy or "single"
        seen[kind] = seen.get(kind, 0) + 1
        rows.append(row_of(work, one, million=seen[kind] <= MILLIONS))
    innocents = [innocent_row(work, name) for name in ("untuned", "innocent-0", "innocent-1")]
    write_result(
        "trace",
        {
            "marking": asdict(MARKING),
            "training": {**asdict(TRAINING.tuning), "passes": TRAINING.passes},
            "recipients": RECIPIENTS,
            "cells": cells(rows),
            "plan": promised(rows),
            "rows": rows,
            "innocents": innocents,
        },
        clock(),
    )


def cells(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How often somebody who leaked was named, and how often anybody else, for each kind and number of recipients."""
    found = {}
    for kind, count in sorted({(row["strategy"], len(row["sources"])) for row in rows}):
        own = [row for row in rows if (row["strategy"], len(row["sources"])) == (kind, count)]
        for among in own[0]["among"]:
            held = [row["among"][among] for row in own if among in row["among"]]
            found[f"{kind}, {count} of {among}"] = {
                "named": interval(sum(bool(one["named"]) and not one["wrong"] for one in held), len(held)),
                "wrong_names": sum(len(one["wrong"]) for one in held),
                "some_copy": sum(one["some_copy_found"] for one in held),
            }
    return found


def promised(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Slots that are needed, by the formula of `protect plan`, if all were learned as those of the single leaks."""
    singles = [p for row in rows if row["strategy"] == "single" for p in row["p_values"].values()]
    runs = [Run("lean", "wording", "lora", 0.0, True, slots=len(p), p_values=tuple(p)) for p in singles]
    numbers = (RECIPIENTS, *CROWDS)
    if not runs:
        return {}
    return {f"{c} of {n}": slots_needed(runs, n, c, MARKING.alpha, 24) for n in numbers for c in (1, *sorted(SETS))}


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare_copies)
