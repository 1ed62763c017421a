"""What weighing all waves alike gains: the same answers of the same models, by the score of now and the one before.

    python -m benchmarks.scores --work W     # after `benchmarks.robustness train`

The score before (`template` version 2, `card` version 1) takes the waves as large as they are. Releases, keys and
answers are those of the robustness suite, so both scores see the same pictures, of models that neither was made on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacks.run import copy_of
from attacks.suite import Cell
from benchmarks.common import Clock, write_result
from benchmarks.robustness import Case, guilty, innocents
from detect.evidence import slot_evidence
from detect.plan import query_plan, trigger_queries
from detect.query import digest
from protect.alignments import slot_family
from protect.images import read_rgba
from protect.keys import Ids
from protect.marks.interface import Pixels
from protect.marks.signs import rank_scores
from protect.marks.template import Template
from protect.release import Release
from protect.verify import on_white

COUNTS = (8, 32)
"""Pictures before, and now."""
LEVEL = 1000.0


def answers(cell: Cell, release: Release, folder: Path) -> Pixels | None:
    """What the suspect of a cell answered a release's questions; None if part of it is not there."""
    queries = trigger_queries(release, 0, query_plan(release).queries)
    kept = {path.name: path for path in (folder / "tests" / cell.name / release.id).rglob("cache/*/*.png")}
    names = [f"{digest([q.prompt, q.seed])}.png" for q in queries]
    if not all(name in kept for name in names):
        return None
    return np.stack([on_white(read_rgba(kept[name])) for name in names])


def score_before(law: Template, outputs: Pixels, ids: Ids) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scores of marks by the former rule: waves in units of their public amplitudes, not of their size here."""
    return rank_scores(law.coefficients(outputs) / law.amplitudes().ravel(), ids, law.fixed, law.views)


def e_values(release: Release, outputs: Pixels) -> dict[str, float]:
    """Evidence of one slot by both scores, with few and with many pictures."""
    law = slot_family(release, 0)
    assert isinstance(law, Template)
    ids = np.concatenate([np.array([release.planted_id(0)], dtype=np.uint64), release.decoy_ids(0)])
    found = {}
    for n in COUNTS:
        for name, scores in (
            ("before", score_before(law, outputs[:n], ids)),
            ("now", law.score(outputs[:n], None, ids)),
        ):
            evidence = slot_evidence(float(scores[0]), scores[1:])
            found[f"{name}, {n} pictures"] = float(np.mean(evidence.bets))
    return found


def line(case: Case, work: Path) -> dict[str, Any] | None:
    """One attack: the evidence of each key, by score and number of pictures."""
    if not case.done(work):
        return None
    cell, (setting, folder) = case.cell, case.place(work)
    releases, _ = copy_of(cell, setting, folder, lambda *_: None)
    drawn = [(release, answers(cell, release, folder)) for release in releases]
    found = [e_values(release, outputs) for release, outputs in drawn if outputs is not None]
    if not found:
        return None
    return {"cell": cell.name, "releases_a_copy": case.keys, **{kind: [e[kind] for e in found] for kind in found[0]}}


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
    washed = [case for case in guilty() if case.cell.family in ("template", "card")]  # scenes have a score of their own
    struck, clean = ([own for case in cases if (own := line(case, work))] for cases in (washed, innocents()))
    write_result("scores", {
        "what": "E of each key by the score before and now, on the same pictures",
        "guilty_found": totals(struck), "innocents_accused": totals(clean), "guilty": struck, "innocents": clean,
    }, clock())  # fmt: skip


if __name__ == "__main__":
    main()
