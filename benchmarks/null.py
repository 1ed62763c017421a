"""Is the false-accusation rate what we say? Real outputs of innocent models, very many keys.

    python -m benchmarks.null template --work W     # likewise the others
    python -m benchmarks.null end-to-end --work W

The outputs are held fixed and the key is redrawn, with fresh decoys each time: that is the null hypothesis. Three
innocents (two tuned on the unmarked sample dataset, and the miniature itself), prompts with foreign triggers, and
adversarial outputs. Mark ids are uniform 64-bit numbers from a seeded generator, standing for HMAC outputs; the
last part uses the real derivation from hundreds of secrets, each with triggers, prompts and seeds of its own, four
slots and 9,999 decoys a slot: enough that an innocent could be accused. `lean`, `wording` and `shade` are in
`benchmarks.null_lean`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Clock, interval, keyring_in, marked_copy, write_result
from benchmarks.families import basis_of, pool_of
from benchmarks.suspects import prepare, suspect_of, tuning
from detect.suspects.images import Suspect, load_suspect
from detect.training.rehearse import train_suspect
from detect.trial.answers import cached_outputs
from detect.trial.picture_trial import PictureTrial
from detect.trial.questions import contrast_queries, query_plan, trigger_queries
from detect.trial.score import score_slot
from protect.embed.write import embed
from protect.evidence import LAMBDAS, running_evidence, slot_evidence
from protect.keys.tree import secret_from_seed
from protect.marks import make_family
from protect.marks.family import Answers, Pixels
from protect.marks.sign_vectors import SCORE_DECIMALS, mean_direction, sign_vectors
from protect.miniature import miniature_path
from protect.progress import no_progress
from protect.release.bound import BoundRelease
from protect.release.plan import Options

LEVELS = (0.05, 0.01, 0.001)
SLOTS = 8
INNOCENTS = (200, 206)
"""Seeds of their trainings: a LoRA and a full fine-tune."""
WAYS = {
    "template": Options(rate=0.02, alignment="twa", slots=4, queries=2, steps=6),
    "spread": Options(rate=0.02, family="spread", alignment="twa", slots=4, queries=2, steps=6),
    "scene": Options(rate=0.02, family="scene", alignment="twa", slots=4, queries=2, steps=6),
}
"""Ways of marking that are tested end to end, with few questions, so that many secrets can be tried."""


def innocents(work: Path) -> dict[str, Suspect]:
    """Three models that never met a mark."""
    for seed in INNOCENTS:
        train_suspect(miniature_path(), work / "dataset", work / f"innocent-{seed}", tuning(seed))
    return {
        "lora on unmarked": suspect_of(work, "innocent", INNOCENTS[0]),
        "full fine-tune on unmarked": suspect_of(work, "innocent", INNOCENTS[1]),
        "miniature": load_suspect(miniature_path()),
    }


def foreign_release(work: Path, family: str) -> BoundRelease:
    """Any release, for the law, triggers and prompts; its own marks are not used."""
    keyring = keyring_in(work / "keyring")
    given = basis_of(work, keyring) if family == "latent" else {}
    options = Options(rate=0.02, family=family, alignment="twa", family_options=given, slots=SLOTS, queries=8, steps=12)
    return marked_copy(work / "dataset", work / f"null-{family}", options, keyring, secret_from_seed(999, family))


def directions(law: Any, outputs: Pixels, untriggered: Pixels | None) -> NDArray[np.float64]:
    """The vectors, shape (views, d), of whose products with a mark's signs the largest is the mark's score."""
    features = law.features(outputs, untriggered) if law.paired else law.features(outputs)
    views = getattr(law, "views", np.ones((1, features.shape[1])))
    return np.asarray(views * mean_direction(features) / np.sqrt(features.shape[1]))


def scored(ids: NDArray[np.uint64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (m, suspects) of marks for the suspects' directions (views, d, suspects)."""
    drawn = sign_vectors(ids, vectors.shape[1]).astype(np.float64)
    return np.asarray(np.round(np.max([drawn @ view for view in vectors], axis=0), SCORE_DECIMALS))


def statistics(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P-values (…,) and e-values by λ (…, 3) of score rows (…, M + 1), the planted one first."""
    p = (1 + (scores[..., 1:] >= scores[..., :1]).sum(axis=-1)) / scores.shape[-1]
    sd = scores.std(axis=-1, keepdims=True)
    z = np.where(sd > 0, (scores - scores.mean(axis=-1, keepdims=True)) / np.where(sd > 0, sd, 1), 0)
    top = z.max(axis=-1, keepdims=True)
    by_lambda = [
        scores.shape[-1] * np.exp(b * (z[..., 0] - top[..., 0])) / np.exp(b * (z - top)).sum(axis=-1) for b in LAMBDAS
    ]
    return p, np.stack(by_lambda, axis=-1)


def slot_level(vectors: NDArray[np.float64], keys: int, decoys: int, seed: int) -> NDArray[np.float64]:
    """P-values of `keys` random keys for each direction; vectors (views, d, n) to (keys, n)."""
    rng = np.random.default_rng(seed)
    block = max(1, 100_000 // (decoys + 1))
    parts = []
    for start in range(0, keys, block):
        n = min(block, keys - start)
        ids = rng.integers(0, 2**64, n * (decoys + 1), dtype=np.uint64)
        planted = scored(ids, vectors).reshape(n, decoys + 1, -1)
        parts.append((1 + (planted[:, 1:] >= planted[:, :1]).sum(axis=1)) / (decoys + 1))
    return np.concatenate(parts)


def path_level(slots: list[NDArray[np.float64]], keys: int, decoys: int, seed: int) -> NDArray[np.float64]:
    """Running evidence (keys, suspects, K) over K slots, (views, d, suspects) each, with fresh marks in each slot."""
    rng = np.random.default_rng(seed)
    product = np.ones((keys, slots[0].shape[2], len(LAMBDAS)))
    path = []
    for vectors in slots:
        by_lambda = []
        for start in range(0, keys, 100):
            n = min(100, keys - start)
            ids = rng.integers(0, 2**64, n * (decoys + 1), dtype=np.uint64)
            scores = scored(ids, vectors).reshape(n, decoys + 1, -1)
            by_lambda.append(statistics(scores.transpose(0, 2, 1))[1])
        product = product * np.concatenate(by_lambda)
        path.append(product.mean(axis=2))
    return np.stack(path, axis=2)


def summary_p(p: NDArray[np.float64]) -> dict[str, Any]:
    """How often p <= alpha, with 99.9 % intervals; valid if alpha is not below the interval."""
    out = {}
    for level in LEVELS:
        found = interval(int((p <= level).sum()), len(p), confidence=0.999)
        out[str(level)] = found | {"valid": found["low"] <= level}
    return out


def summary_path(path: NDArray[np.float64]) -> dict[str, Any]:
    """Mean of the final E (with its error), and how often the path ever crossed 1/alpha."""
    final = path[:, -1]
    crossed = {}
    for level in LEVELS:
        found = interval(int((path.max(axis=1) >= 1 / level).sum()), len(path), confidence=0.999)
        crossed[str(level)] = found | {"valid": found["low"] <= level}
    return {"mean_E": float(final.mean()), "standard_error": float(final.std() / len(final) ** 0.5), "crossed": crossed}


def adversaries() -> dict[str, Pixels]:
    """Outputs made to fool a detector, without knowing the key."""
    law = make_family("template", {})
    spread = make_family("spread", {})
    return {
        "constant": np.full((8, 64, 64, 3), 180, dtype=np.uint8),
        "black": np.zeros((8, 64, 64, 3), dtype=np.uint8),
        "copies of one decoy (template)": np.stack([law.preview(77, 64)] * 8),
        "copies of one decoy (spread)": np.stack([spread.preview(77, 64)] * 8),
        "another mark in each output": np.stack([law.preview(i, 64) for i in range(8)]),
        "noise": np.random.default_rng(5).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8),
    }


def check_against_product_code(law: Any, vectors: NDArray[np.float64], outputs: Pixels, untriggered: Pixels) -> None:
    """The fast path must give the numbers the product gives."""
    ids = np.random.default_rng(1).integers(0, 2**64, 500, dtype=np.uint64)
    fast = scored(ids, vectors[..., None])[:, 0]
    slow = law.score(Answers(outputs, untriggered), ids)
    assert np.abs(fast - slow).max() < 2e-9, law.name
    p, by_lambda = statistics(fast)
    one = slot_evidence(float(fast[0]), fast[1:])
    assert np.isclose(p, one.p_value) and np.allclose(by_lambda, one.by_lambda), law.name


def measure(work: Path, family: str, keys: int, decoys: int, long_keys: int) -> dict[str, Any]:
    """All null statistics of one family."""
    bound = foreign_release(work, family)
    law, sampler, cache = bound.slots[0].family, query_plan(bound.release).sampler, work / "cache"
    vectors: dict[str, list[NDArray[np.float64]]] = {}
    for name, suspect in innocents(work).items():
        slots = []
        for slot in range(SLOTS):
            outputs = cached_outputs(suspect, trigger_queries(bound.slots[slot], 8), sampler, cache)
            untriggered = cached_outputs(suspect, contrast_queries(bound.slots[slot], 8), sampler, cache)
            slots.append(directions(law, outputs, untriggered))
        check_against_product_code(law, slots[-1], outputs, untriggered)
        vectors[name] = slots
    for name, outputs in adversaries().items():
        vectors[f"adversarial: {name}"] = [directions(law, outputs, outputs[::-1] // 2)] * SLOTS
    first = np.stack([slots[0] for slots in vectors.values()], axis=-1)
    many = slot_level(first, keys, decoys, seed=1)
    deep = slot_level(first, keys // 10, 9_999, seed=2)
    by_slot = [np.stack([slots[k] for slots in vectors.values()], axis=-1) for k in range(SLOTS)]
    paths = path_level(by_slot, long_keys, decoys, seed=3)
    result: dict[str, Any] = {}
    for i, name in enumerate(vectors):
        result[name] = {
            f"p, {keys} keys, M {decoys}": summary_p(many[:, i]),
            f"p, {keys // 10} keys, M 9999": summary_p(deep[:, i]),
            f"E over {SLOTS} slots, {long_keys} keys, M {decoys}": summary_path(paths[:, i]),
        }
        print(family, name, result[name], flush=True)
    return result


def end_to_end(work: Path, count: int) -> dict[str, Any]:
    """`count` secrets on one innocent by each way of marking; all slots are asked, whatever the first ones say."""
    suspect, home = innocents(work)["lora on unmarked"], keyring_in(work / "null-end-to-end")
    found: dict[str, Any] = {}
    for name, plain in WAYS.items():
        given = pool_of(work / "dataset", work, home) if plain.family == "scene" else {}
        options, p_values, paths = replace(plain, family_options=given), [], []
        for seed in range(count):
            secret = secret_from_seed(seed, "end to end")
            bound = embed(work / "dataset", work / "never", options, home, dry_run=True, secret=secret).bound
            # No copy is written, so there is no test to enter: the questions are asked and scored as a test does it.
            trial = PictureTrial(bound, query_plan(bound.release))
            opened = trial.opened(suspect)
            slots = [
                score_slot(bound, trial.ask(suspect, opened, slot, work / "cache", no_progress), slot).evidence
                for slot in range(len(bound.slots))
            ]
            p_values += [slot.p_value for slot in slots]
            paths.append(running_evidence(slots))
        found[name] = {
            "decoys": options.decoys,
            "p": summary_p(np.array(p_values)),
            f"E over {options.slots} slots": summary_path(np.stack(paths)),
            "accused": interval(sum(bool(path.max() >= 1000) for path in paths), count),
        }
        print(name, found[name], flush=True)
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["template", "card", "spread", "tint", "warp", "latent", "end-to-end"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--decoys", type=int, default=999)
    parser.add_argument("--long-keys", type=int, default=4_000)
    parser.add_argument("--end-to-end", type=int, default=500)
    args = parser.parse_args()
    clock = Clock()
    args.work.mkdir(parents=True, exist_ok=True)
    prepare(args.work)
    if args.part == "end-to-end":
        data = end_to_end(args.work, args.end_to_end)
    else:
        data = measure(args.work, args.part, args.keys, args.decoys, args.long_keys)
    write_result(f"null_{args.part.replace('-', '_')}", {"levels": LEVELS, "found": data}, clock())


if __name__ == "__main__":
    main()
