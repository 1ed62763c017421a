"""Guilty and innocent suspects on the sample dataset: power, false accusations, harmlessness.

    python -m benchmarks.suspects train --work W --part 0/2 &   # one process per core
    python -m benchmarks.suspects train --work W --part 1/2
    python -m benchmarks.suspects judge --work W                # tests every suspect, writes the result
    python -m benchmarks.suspects kinds --work W                # opens 129 kinds of suspects, or refuses them
    python -m benchmarks.suspects wall --work W                 # a suspect against bare sampling; memory

2,200 of the 2,400 sample pictures are the owner's dataset; 200 are held out for the denoising loss. For each
seed a key is drawn, the dataset is marked, and the miniature is tuned twice with the same training seed: on
the marked copy (guilty) and on the original (innocent). Every innocent is tested with every key.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler

from benchmarks import suspect_kinds, suspect_wall
from benchmarks.common import PAINTED as DEMO
from benchmarks.common import TUNING, Clock, interval, keyring_in, mean_interval, pictures_of, run_stages, write_result
from detect.suspects.images import Suspect, load_suspect
from detect.training.options import FinetuneOptions
from detect.training.records import training_records
from detect.training.rehearse import protected_copy, train_suspect
from detect.training.samples import read_picture
from detect.trial.judge import detect
from detect.trial.verdict import Verdict
from protect.check.trial import ssim
from protect.marks.family import Answers
from protect.miniature import miniature_path
from protect.release.bound import BoundRelease, bind
from protect.release.plan import Options
from protect.sample import unpack_sample
from protect.vae import as_tensor, encode

EMBEDDING = replace(DEMO, alignment="twa")
LORA_SEEDS, FULL_SEEDS = range(200, 204), range(204, 210)
SEEDS = (200, 206, 201, 207, 202, 208, 203, 209, 204, 205)
"""In this order, so that a part of the work tells most."""
FULL = replace(TUNING, method="full", learning_rate=1e-3, steps=200)


def tuning(seed: int) -> FinetuneOptions:
    """LoRA for the first seeds, full fine-tuning for the others."""
    return replace(TUNING if seed in LORA_SEEDS else FULL, seed=seed)


def prepare(work: Path) -> tuple[Path, Path]:
    """The owner's 2,200 pictures, and 200 held out (every twelfth)."""
    whole, own, held = work / "whole", work / "dataset", work / "held-out"
    if not held.exists():
        unpack_sample(whole)
        lines = (whole / "metadata.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        for folder, chosen in ((own, [x for i, x in enumerate(lines) if i % 12]), (held, lines[::12])):
            folder.mkdir(parents=True)
            for line in chosen:
                name = json.loads(line)["file_name"]
                (folder / name).write_bytes((whole / name).read_bytes())
            (folder / "metadata.jsonl").write_text("".join(chosen), encoding="utf-8")
    return own, held


def prepare_releases(work: Path) -> None:
    """The pictures, and the marked copies of all seeds."""
    prepare(work)
    for seed in SEEDS:
        release_of(work, seed)


def release_of(work: Path, seed: int, options: Options = EMBEDDING) -> BoundRelease:
    """The release of a seed, embedded once."""
    keyring = keyring_in(work / "keyring")
    release = protected_copy(work / "dataset", work / f"protected-{seed}", options, seed, keyring)
    return bind(release, keyring.store)


def train(work: Path, part: int, parts: int) -> None:
    """Train this process's share of the suspects; finished ones are kept."""
    own = work / "dataset"
    jobs = [(seed, guilty) for seed in SEEDS for guilty in (True, False)]
    for seed, guilty in jobs[part::parts]:
        folder = work / f"protected-{seed}" if guilty else own
        output = work / f"{'guilty' if guilty else 'innocent'}-{seed}"
        clock = Clock()
        train_suspect(miniature_path(), folder, output, tuning(seed))
        print(f"{output.name}: {clock():.0f} s", flush=True)


def suspect_of(work: Path, kind: str, seed: int) -> Suspect:
    """A trained suspect."""
    lora = tuning(seed).method == "lora"
    return load_suspect(work / f"{kind}-{seed}", base=miniature_path() if lora else None)


@torch.no_grad()
def denoising_loss(suspect: Any, held: Path) -> float:
    """Mean squared error of the noise prediction on held-out pairs: 4 fixed (t, noise) draws per picture."""
    pipe = suspect._pipeline
    scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
    generator = torch.Generator().manual_seed(0)
    records, _ = training_records(held)
    pixels = np.stack([read_picture(record.read(), 64) for record in records])
    latents = encode(pipe.vae, as_tensor(pixels)) * pipe.vae.config.scaling_factor
    ids = pipe.tokenizer(
        [record.caption for record in records],
        padding="max_length",
        truncation=True,
        max_length=pipe.tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids
    context = pipe.text_encoder(ids)[0]
    total = 0.0
    for _ in range(4):
        noise = torch.randn(latents.shape, generator=generator)
        t = torch.randint(0, 1000, (len(records),), generator=generator)
        predicted = pipe.unet(scheduler.add_noise(latents, noise, t), t, context).sample
        total += float((predicted - scheduler.get_velocity(latents, noise, t)).pow(2).mean()) / 4
    return total


def similarities(original: Path, protected: Path, bound: BoundRelease) -> list[float]:
    """Structural similarity of each carrier to its original."""
    keys = [c.key for c in bound.release.carriers]
    return [ssim(a, b) for a, b in zip(pictures_of(original, keys), pictures_of(protected, keys), strict=True)]


def row(verdict: Verdict) -> dict[str, Any]:
    """What is published about one test."""
    return {
        "suspect": verdict.suspect,
        "release": verdict.release.id,
        "verdict": verdict.outcome,
        "reason": verdict.reason,
        "e_value": verdict.e_value,
        "queries": verdict.queries,
        "carriers": len(verdict.release.carriers),
        "slot_p_values": [s.evidence.p_value for s in verdict.slots],
        "planted": [s.scores.planted for s in verdict.slots if s.scores],
        "best_decoy": [float(s.scores.decoys.max()) for s in verdict.slots if s.scores],
    }


def single_query_ranks(bound: BoundRelease, verdict: Verdict) -> list[int]:
    """Rank of the planted mark among the decoys for each output of the first slot alone."""
    shown = verdict.slots[0].shown
    assert shown is not None, "the answers are not in the cache any more"
    law, outputs = bound.slots[0], shown.pictures
    ids = np.concatenate([np.array([law.planted], dtype=np.uint64), law.decoys])
    scores = [law.family.score(Answers(outputs[i : i + 1]), ids) for i in range(len(outputs))]
    return [int(1 + np.count_nonzero(s[1:] >= s[0])) for s in scores]


def judge(work: Path) -> None:
    """Test all suspects and write `results/suspects.json`."""
    clock = Clock()
    held, cache = work / "held-out", work / "cache"
    seeds = [s for s in SEEDS if all((work / f"{k}-{s}").exists() for k in ("guilty", "innocent"))]
    releases = {seed: release_of(work, seed) for seed in seeds}
    guilty, innocent, losses, ranks = [], [], [], []
    for seed in seeds:
        suspect, other = suspect_of(work, "guilty", seed), suspect_of(work, "innocent", seed)
        verdict = detect(releases[seed], suspect, keyring_in(work / "tests"), cache)
        guilty.append(row(verdict) | {"seed": seed, "method": tuning(seed).method})
        ranks += single_query_ranks(releases[seed], verdict)
        for bound in releases.values():
            # A ledger of its own: each crossing is an experiment by itself, not one look among many.
            apart = keyring_in(work / "tests" / f"{seed}-{bound.release.id}")
            innocent.append(row(detect(bound, other, apart, cache)) | {"seed": seed, "method": tuning(seed).method})
        losses.append((denoising_loss(suspect, held), denoising_loss(other, held)))
        print(guilty[-1], losses[-1], flush=True)
    found = [g["verdict"] == "evidence" for g in guilty]
    accused = [i["verdict"] == "evidence" for i in innocent]
    carriers = [c.psnr for bound in releases.values() for c in bound.release.carriers]
    data = {
        "what": "template marks, TWA, rate 0.02, 2,200 samples of the sample dataset; alpha 1e-3, M 9,999",
        "samples": len(training_records(work / "dataset")[0]),
        "embedding": asdict(EMBEDDING),
        "tuning": {"lora": asdict(TUNING), "full": asdict(FULL)},
        "guilty_with_evidence": interval(sum(found), len(found)),
        "guilty_with_evidence_lora": interval(
            sum(f for f, g in zip(found, guilty, strict=True) if g["method"] == "lora"),
            sum(g["method"] == "lora" for g in guilty),
        ),
        "guilty_queries_median": float(np.median([g["queries"] for g in guilty])),
        "single_queries_ranked_first_not_independent": {"k": sum(r == 1 for r in ranks), "n": len(ranks)},
        "innocent_accused_own_key": interval(
            sum(a for a, i in zip(accused, innocent, strict=True) if i["release"] == releases[i["seed"]].release.id),
            len(seeds),
        ),
        "innocent_tests_accused_all_crossings": {"k": sum(accused), "n": len(accused)},
        "left_out_seeds": [s for s in SEEDS if s not in seeds],
        "denoising_loss_marked_minus_unmarked": mean_interval([a - b for a, b in losses]),
        "denoising_loss_unmarked": [b for _, b in losses],
        "carrier_psnr_median": float(np.median(carriers)),
        "carrier_ssim_median": float(
            np.median(
                [
                    s
                    for seed, r in releases.items()
                    for s in similarities(work / "dataset", work / f"protected-{seed}", r)
                ]
            )
        ),
        "guilty": guilty,
        "innocent": innocent,
    }
    write_result("suspects", data, clock())


def kinds(work: Path) -> None:
    """Write `results/suspect_kinds.json`."""
    clock = Clock()
    write_result("suspect_kinds", suspect_kinds.measure(work), clock())


def wall(work: Path) -> None:
    """Write `results/suspect_wall.json`."""
    clock = Clock()
    write_result("suspect_wall", suspect_wall.measure(work), clock())


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare_releases, {"kinds": kinds, "wall": wall})
