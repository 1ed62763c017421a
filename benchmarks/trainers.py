"""Suspects that diffusers' own scripts trained on a copy, tested by `rehearse_made`.

    python -m benchmarks.trainers --scripts DIFFUSERS/examples/text_to_image --work W

The scripts are not part of this project; their version is that of the diffusers they came with (`--version` names it).
They need torchvision and datasets. What is finished stays: a stopped run goes on with the next training.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import Clock, measured_once, write_result
from detect.training.rehearse import prepare, rehearse_made
from protect.miniature import miniature_path
from protect.release.plan import WORDING, Options
from protect.sample import unpack_sample

BATCH = 32
SAMPLES = 2_400
TEMPLATE = Options(rate=0.05, family="template", alignment="twa", slots=1)
MARKINGS = {"template": TEMPLATE, "wording": Options.of(WORDING)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One training by a script."""

    marking: str
    script: str
    steps: int
    learning_rate: float
    more: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its folders."""
        return f"{self.marking}-{self.script}-{self.steps}"

    @property
    def passes(self) -> float:
        """Over the sample dataset."""
        return self.steps * BATCH / SAMPLES


FULL, LORA = "train_text_to_image", "train_text_to_image_lora"
CELLS = (
    Cell("template", FULL, 200, 1e-3),
    Cell("template", LORA, 300, 3e-3, ("--rank", "16")),
    Cell("wording", FULL, 225, 1e-3),
    Cell("wording", LORA, 600, 1e-3, ("--rank", "16")),
)


def train(cell: Cell, scripts: Path, copy: Path, output: Path) -> None:
    """Run the script as its users do; `output` appears only when it is complete."""
    partial = output.with_name(output.name + ".partial")
    settings = {
        "pretrained_model_name_or_path": miniature_path(),
        "train_data_dir": copy,
        "caption_column": "text",
        "resolution": 64,
        "train_batch_size": BATCH,
        "max_train_steps": cell.steps,
        "learning_rate": cell.learning_rate,
        "lr_scheduler": "constant_with_warmup",
        "lr_warmup_steps": 20,
        "seed": 0,
        "mixed_precision": "bf16",
        "checkpointing_steps": 10**6,
        "output_dir": partial,
    }
    arguments = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    subprocess.run([sys.executable, str(scripts / f"{cell.script}.py"), *arguments, *cell.more], check=True)
    partial.rename(output)


def row(cell: Cell, scripts: Path, work: Path) -> dict[str, Any]:
    """Train, unless that is done, and test."""
    prepared = prepare(work / "dataset", work / f"rehearsal-{cell.marking}", MARKINGS[cell.marking])
    output = work / cell.name
    if not output.exists():
        train(cell, scripts, prepared.copy, output)
    done = rehearse_made(prepared, output, miniature_path() if cell.script == LORA else None, cell.passes)
    return {
        **asdict(cell),
        "passes": cell.passes,
        "verdict": done.verdict.outcome,
        "e_value": done.verdict.e_value,
        "p_values": [slot.evidence.p_value for slot in done.verdict.slots],
        "questions": done.verdict.queries,
        "captions_learned": done.captions_learned,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scripts", type=Path, required=True)
    parser.add_argument("--version", required=True, help="of the diffusers that the scripts came with")
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    if not (args.work / "dataset").exists():
        unpack_sample(args.work / "dataset")
    rows = [
        measured_once(args.work / "rows" / f"{cell.name}.json", partial(row, cell, args.scripts, args.work))
        for cell in CELLS
    ]
    markings = {name: options.settled() for name, options in MARKINGS.items()}
    write_result("trainers", {"scripts": args.version, "markings": markings, "rows": rows}, clock())


if __name__ == "__main__":
    main()
