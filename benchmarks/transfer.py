"""Does a `template` mark reach models that are trained otherwise? One way of training per suspect, one key.

    python -m benchmarks.transfer train --work W --part 0/2 &   # after `benchmarks.suspects train`
    python -m benchmarks.transfer train --work W --part 1/2
    python -m benchmarks.transfer judge --work W

The release is that of seed 200 in `benchmarks.suspects`; there LoRA of rank 16 on all layers, with the text encoder
trained along, was found after 384 sightings. One way starts from a fine-tune that `benchmarks.baselines` makes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.common import TUNING, Clock, keyring_in, run_stages, write_result
from benchmarks.suspects import FULL, prepare, release_of, row
from detect.suspects.images import load_suspect
from detect.training.finetune import finetune
from detect.training.options import FinetuneOptions
from detect.training.records import training_records
from detect.trial.judge import detect
from protect.miniature import miniature_path

SEED = 200


@dataclass(frozen=True, slots=True)
class Way:
    """One way of training."""

    name: str
    tuning: FinetuneOptions
    mixed: bool = False
    """Whether the unmarked originals are mixed in: twice the data, at the same number of steps half the sightings."""
    base: str = ""
    """Under the work folder; the miniature by default."""


WAYS = (
    Way("LoRA rank 4", replace(TUNING, rank=4, seed=401)),
    Way("LoRA rank 16, attention only", replace(TUNING, targets="attention", seed=402)),
    Way("LoRA rank 16, text encoder frozen", replace(TUNING, text_encoder=False, seed=403)),
    Way("full, text encoder frozen", replace(FULL, text_encoder=False, steps=300, seed=404)),
    Way("LoRA rank 64", replace(TUNING, rank=64, seed=405)),
    Way("full, originals mixed in 1:1", replace(FULL, steps=300, seed=406), mixed=True),
    Way("LoRA on the miniature tuned on other data", replace(TUNING, seed=407), base="other-blob-500"),
)
"""The most telling first; what was not trained is named in the result."""


def output(work: Path, way: Way) -> Path:
    """Where a suspect lies."""
    return work / f"transfer-{way.tuning.seed}"


def base(work: Path, way: Way) -> Path:
    """What is tuned."""
    return work / way.base if way.base else miniature_path()


def train(work: Path, part: int, parts: int) -> None:
    """Train this process's share of the suspects; finished ones are kept."""
    release_of(work, SEED)
    for way in WAYS[part::parts]:
        samples, _ = training_records(work / f"protected-{SEED}")
        if way.mixed:
            samples += training_records(work / "dataset")[0]
        clock = Clock()
        if not output(work, way).exists():
            finetune(base(work, way), samples, output(work, way), way.tuning, device="cpu")
        print(f"{way.name}: {clock():.0f} s", flush=True)


def judge(work: Path) -> None:
    """Test the trained suspects and write `results/transfer.json`."""
    clock = Clock()
    bound = release_of(work, SEED)
    rows: list[dict[str, Any]] = []
    for way in WAYS:
        if not output(work, way).exists():
            continue
        lora = way.tuning.method == "lora"
        suspect = load_suspect(output(work, way), base=base(work, way) if lora else None)
        verdict = detect(bound, suspect, keyring_in(work / "tests-transfer"), work / "cache")
        passes = way.tuning.steps * way.tuning.batch / (2200 * (2 if way.mixed else 1))
        rows.append(
            {
                "way": way.name,
                "sightings": passes * len(bound.release.carriers),
                **row(verdict),
                "tuning": asdict(way.tuning),
            }
        )
        print(rows[-1], flush=True)
    missing = [way.name for way in WAYS if not output(work, way).exists()]
    left_out = [*missing, "a base of other width", "more than one key"]
    write_result("transfer", {"ways": rows, "left_out": left_out}, clock())


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
