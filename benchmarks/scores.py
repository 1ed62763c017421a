"""What the scores of now gain: the same answers of the same models, by them and by the ones before.

    python -m benchmarks.scores --work W     # after `benchmarks.robustness train`

Before, `template` (version 2) and `card` (version 1) took the waves as large as they are, and `scene` (version 1)
compared pictures point by point. Releases, keys and answers are those of the robustness suite, so both scores see the
same pictures, of models that neither was made on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacks.result import CellResult
from benchmarks.common import Clock, write_result
from benchmarks.robustness import Case, guilty, innocents
from detect.trial.answers import digest
from detect.trial.questions import query_plan, trigger_queries
from protect.evidence import SlotEvidence, running_evidence, slot_evidence
from protect.keys.tree import Ids
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.scene import Scene, details, read_pool
from protect.marks.sign_vectors import SCORE_DECIMALS, mean_direction, rank_scores, unit_rows
from protect.marks.template import Template
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.release.bound import BoundRelease

BEFORE = 8
"""Pictures a slot before; now 32, but still 8 for `scene`."""
LEVEL = 1000.0


def answers(result: CellResult, bound: BoundRelease, cache: Path) -> list[Pixels] | None:
    """What the suspect of a cell answered, slot by slot; None if part of it is not there."""
    plan = query_plan(bound.release)
    folder = cache / digest([result.suspect, plan.sampler.as_dict()])
    drawn = []
    for slot in range(len(bound.slots)):
        asked = trigger_queries(bound.slots[slot], plan.queries)
        paths = [folder / f"{digest([q.prompt, q.seed])}.png" for q in asked]
        if not all(path.exists() for path in paths):
            return None
        drawn.append(np.stack([on_white(read_rgba(path.read_bytes())) for path in paths]))
    return drawn


def score_before(law: MarkFamily, outputs: Pixels, ids: Ids) -> Array:
    """Scores of marks by the former rules.

    Waves in units of their public amplitudes, not of their size here; templates of a pool by plain correlation.
    """
    if isinstance(law, Template):
        return rank_scores(law.coefficients(outputs) / law.amplitudes().ravel(), ids, law.fixed, law.views)
    assert isinstance(law, Scene)
    templates = unit_rows(details(read_pool(law.store, law.pool)))
    likeness = np.round(templates @ mean_direction(details(outputs)), SCORE_DECIMALS)
    return np.asarray(likeness[ids % np.uint64(len(likeness))])


def e_values(bound: BoundRelease, drawn: Sequence[Pixels]) -> dict[str, float]:
    """Evidence by both scores, with few pictures and with all: the largest while slots multiply, as in verdicts."""
    found = {}
    for n in sorted({BEFORE, len(drawn[0])}):
        before, now = list[SlotEvidence](), list[SlotEvidence]()
        for slot, outputs in zip(bound.slots, drawn, strict=True):
            ids = np.concatenate([np.array([slot.planted], dtype=np.uint64), slot.decoys])
            for rule, scores in (
                (before, score_before(slot.family, outputs[:n], ids)),
                (now, slot.family.score(Answers(outputs[:n]), ids)),
            ):
                rule.append(slot_evidence(float(scores[0]), scores[1:]))
        for name, slots in (("before", before), ("now", now)):
            found[f"{name}, {n} pictures"] = float(running_evidence(slots).max())
    return found


def line(case: Case, work: Path) -> dict[str, Any] | None:
    """One attack: the evidence of each key, by score and number of pictures."""
    if not case.done(work):
        return None
    workshop, result = case.workshop(work), case.measured(work)
    releases = workshop.marked_copy(case.cell).releases
    drawn = [(bound, answers(result, bound, workshop.cache)) for bound in releases]
    found = [e_values(bound, outputs) for bound, outputs in drawn if outputs is not None]
    if not found:
        return None
    return {
        "cell": case.cell.name,
        "releases_a_copy": case.keys,
        **{kind: [e[kind] for e in found] for kind in found[0]},
    }


def totals(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many tests are evidence; tests of one model are not independent, so no more than a count."""
    kinds = [kind for kind in lines[0] if isinstance(lines[0][kind], list)]
    every = {kind: [e for own in lines for e in own[kind]] for kind in kinds}
    return {kind: {"k": sum(e >= LEVEL for e in found), "n": len(found)} for kind, found in every.items()}


def main() -> None:
    """Score all finished cells twice; write `results/scores.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    work, clock = parser.parse_args().work, Clock()
    scenes = [case for case in guilty() if case.cell.family == "scene"]
    washed = [case for case in guilty() if case not in scenes]
    attacked, drawn, clean = (
        [own for case in cases if (own := line(case, work))] for cases in (washed, scenes, innocents())
    )
    write_result(
        "scores",
        {
            "what": "E of each key by the score before and now, on the same pictures",
            "guilty_found": totals(attacked),
            "scenes_found": totals(drawn),
            "innocents_accused": totals(clean),
            "guilty": attacked,
            "scenes": drawn,
            "innocents": clean,
        },
        clock(),
    )


if __name__ == "__main__":
    main()
