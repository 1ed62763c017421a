"""Whom do the papers' rules accuse, and whom ours? Same releases, same suspects, same outputs.

    python -m benchmarks.baselines --work W --other F --other G      # after `benchmarks.suspects train`

Innocents of a release: models tuned on the unmarked copy, models tuned on copies marked with other keys, models tuned
on other datasets (two for each folder, trained here if need be), and the miniature itself; and the same again as
another domain shows them: fewer steps with stronger guidance, and JPEG at quality 30. The papers' rules see 50 outputs
per suspect; ours the 8 of its committed plan, or with JPEG the first 8 of the 50.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.common import RESULTS, Clock, keyring_in, pictures_of, write_result
from benchmarks.suspects import FULL, SEEDS, release_of, suspect_of
from detect.baselines import (
    diagnosis,
    entruth,
    entruth_threshold,
    scores_of_outputs,
    siren,
    train_signal_classifier,
)
from detect.baselines.siren import CLEAN_OUTPUTS
from detect.suspects.images import Query, Sampler, Suspect, load_suspect
from detect.training.rehearse import train_suspect
from detect.trial.answers import cached_outputs
from detect.trial.judge import detect
from detect.trial.questions import AS_COMMITTED, Departures
from protect.check.survival import jpeg
from protect.evidence import running_evidence, slot_evidence
from protect.marks.family import Answers, Pixels
from protect.miniature import miniature_path
from protect.release.bound import BoundRelease

OUTPUTS = 50
REFERENCE, THRESHOLD_MODELS = 200, (200, 206, 201)
"""Clean models that SIREN and EnTruth may see; they are not judged."""
OTHER_SEEDS = (500, 501)
PLAIN, OTHER = Sampler(steps=12, guidance=3.0), Sampler(steps=6, guidance=7.5)


def questions(bound: BoundRelease, count: int) -> list[Query]:
    """Trigger questions on the slot's captions, over and over with new seeds."""
    asked = bound.slots[0].questions
    seeds = np.random.default_rng(0).integers(0, 2**32, count)
    return [Query(asked.prompts[i % len(asked.prompts)], int(seed)) for i, seed in enumerate(seeds)]


def domains(suspect: Suspect, bound: BoundRelease, cache: Path) -> dict[str, Pixels]:
    """The same suspect as three domains show it."""
    plain = cached_outputs(suspect, questions(bound, OUTPUTS), PLAIN, cache)
    return {
        "as committed": plain,
        "6 steps, guidance 7.5": cached_outputs(suspect, questions(bound, OUTPUTS), OTHER, cache),
        "JPEG 30": np.stack([jpeg(30)(picture) for picture in plain]),
    }


def rules(work: Path, bound: BoundRelease, cache: Path) -> dict[str, Callable[[Pixels], bool]]:
    """The papers' rules, calibrated for one release."""
    slot, release = bound.slots[0], bound.release

    def scores(outputs: Pixels) -> Any:
        return scores_of_outputs(slot.family, outputs, None, slot.planted)

    clean = suspect_of(work, "innocent", REFERENCE)
    reference = scores(cached_outputs(clean, questions(bound, CLEAN_OUTPUTS), PLAIN, cache))
    models = (suspect_of(work, "innocent", seed) for seed in THRESHOLD_MODELS)
    asked = questions(bound, OUTPUTS)
    threshold = entruth_threshold([scores(cached_outputs(model, asked, PLAIN, cache)) for model in models])
    keys = [carrier.key for carrier in release.carriers]
    marked, before = (
        np.stack([small(picture) for picture in pictures_of(place, keys)])
        for place in (work / release.name, work / "dataset")
    )
    classifier = train_signal_classifier(marked, before, epochs=30)
    return {
        "DIAGNOSIS (0.75 of 50)": lambda outputs: diagnosis(classifier, outputs).accused,
        "SIREN (KS, nominal 1e-3)": lambda outputs: siren(scores(outputs[:30]), reference).accused,
        "EnTruth (threshold, one query)": lambda outputs: entruth(scores(outputs), threshold, queries=1).accused,
        "EnTruth (threshold, 50 queries)": lambda outputs: entruth(scores(outputs), threshold).accused,
    }


def tuned_on_other(work: Path, folder: Path) -> dict[str, Suspect]:
    """Innocents that never saw the owner's pictures."""
    found = {}
    for seed in OTHER_SEEDS:
        output = work / f"other-{folder.name}-{seed}"
        train_suspect(miniature_path(), folder, output, replace(FULL, seed=seed))
        found[output.name] = load_suspect(output)
    return found


def innocents(work: Path, seed: int, others: list[Path]) -> dict[str, Suspect]:
    """Everyone who did not train on the release of `seed`, save the clean models that the papers' rules see."""
    found = {"miniature": load_suspect(miniature_path())}
    found |= {f"innocent-{s}": suspect_of(work, "innocent", s) for s in SEEDS if s not in THRESHOLD_MODELS}
    found |= {f"other-key-{s}": suspect_of(work, "guilty", s) for s in SEEDS if s != seed}
    for folder in others:
        found |= tuned_on_other(work, folder)
    return found


def small(picture: Pixels) -> Pixels:
    """At the miniature's size."""
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.BOX))


def plot(table: dict[str, dict[str, dict[str, Any]]]) -> None:
    """False accusations by rule and domain. No intervals: innocents of one release share its key."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    names = list(table)
    kinds = [k for k in next(iter(table.values())) if k != "guilty"]
    for j, kind in enumerate(kinds):
        places = np.arange(len(names)) + (j - (len(kinds) - 1) / 2) * 0.25
        shares = np.array([table[n][kind]["share"] for n in names])
        axes.bar(places, shares, 0.23, label=kind)
    axes.set_xticks(range(len(names)), [n.replace(" (", "\n(") for n in names], fontsize=8)
    axes.set_ylabel("share of innocents accused")
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, title="innocents, outputs", title_fontsize=8)
    figure.savefig(RESULTS / "baselines.png", dpi=110)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--releases", type=int, default=2)
    parser.add_argument("--other", type=Path, action="append", default=[], help="dataset of another owner; repeatable")
    args = parser.parse_args()
    clock, work = Clock(), args.work
    cache = work / "cache"
    rows: list[dict[str, Any]] = []
    for seed in SEEDS[: args.releases]:
        bound = release_of(work, seed)
        papers = rules(work, bound, cache)
        suspects = {"guilty": suspect_of(work, "guilty", seed), **innocents(work, seed, args.other)}
        for name, suspect in suspects.items():
            for domain, outputs in domains(suspect, bound, cache).items():
                found = {rule: bool(judge(outputs)) for rule, judge in papers.items()}
                if domain == "as committed":
                    found["Tracemark (alpha 1e-3)"] = _ours(work, bound, suspect, AS_COMMITTED)
                elif domain != "JPEG 30":
                    found["Tracemark (alpha 1e-3)"] = _ours(work, bound, suspect, Departures(None, 6, 7.5))
                else:
                    found["Tracemark (alpha 1e-3)"] = _rank_only(bound, outputs)
                rows.append({"release": seed, "suspect": name, "domain": domain, **found})
                print(rows[-1], flush=True)
    rule_names = [k for k in rows[0] if k not in {"release", "suspect", "domain"}]
    table = {
        rule: {
            **{
                domain: _count([r for r in rows if r["suspect"] != "guilty" and r["domain"] == domain], rule)
                for domain in ("as committed", "6 steps, guidance 7.5", "JPEG 30")
            },
            "guilty": _count([r for r in rows if r["suspect"] == "guilty" and r["domain"] == "as committed"], rule),
        }
        for rule in rule_names
    }
    plot(table)
    write_result(
        "baselines",
        {
            "table": table,
            "rows": rows,
            "clean_models_seen_by_the_papers": THRESHOLD_MODELS,
            "note": "innocents of one release share its key: they are not independent trials",
        },
        clock(),
    )


def _ours(work: Path, bound: BoundRelease, suspect: Suspect, departures: Departures) -> bool:
    home = keyring_in(work / "tests-baselines" / f"{bound.release.id}-{suspect.name}-{departures.steps}")
    return detect(bound, suspect, home, work / "cache", departures=departures).outcome == "evidence"


def _rank_only(bound: BoundRelease, outputs: Pixels) -> bool:
    """Our evidence on outputs that were re-encoded: the first 8, scored as detection scores them."""
    slot, plan = bound.slots[0], bound.release.plan
    ids = np.concatenate([np.array([slot.planted], dtype=np.uint64), slot.decoys])
    scores = slot.family.score(Answers(outputs[: plan.queries]), ids)
    return bool(running_evidence([slot_evidence(float(scores[0]), scores[1:])])[-1] >= 1 / plan.alpha)


def _count(rows: list[dict[str, Any]], rule: str) -> dict[str, Any]:
    found = sum(r[rule] for r in rows)
    return {"k": found, "n": len(rows), "share": found / len(rows)}


if __name__ == "__main__":
    main()
