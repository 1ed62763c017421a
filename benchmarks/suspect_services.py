"""A tuned miniature behind each kind of service beside itself here: verdicts, E, and what compression does to them.

    python -m benchmarks.suspect_services --models W --work X

W is the folder of `benchmarks.wording train`; of it one key's copy, the LoRA that learned it, and a LoRA that learned
the unmarked original are taken. The services are servers of this machine that speak as AUTOMATIC1111, ComfyUI and
OpenAI do and draw one picture at a time; the last takes no seeds. Each test has a ledger and a cache of its own. Tests
that are finished stay.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import Clock, measured_once, write_result
from benchmarks.wording import HALF, copy_of, tested
from detect.suspects.images import load_suspect
from protect.miniature import miniature_path
from tests.support.services import Loopback, drawn_by, reach, serving

KEY, TRAINING = 800, "lora-4"
SIDE = 64


@dataclass(frozen=True, slots=True)
class Way:
    """How a suspect is asked."""

    service: str
    """Kind of service; empty for here."""
    form: str = "PNG"
    quality: int | None = None

    @property
    def name(self) -> str:
        """In words."""
        quality = f" of quality {self.quality}" if self.quality else ""
        return f"{self.service}, {self.form}{quality}" if self.service else "here"


WAYS = (Way(""), Way("a1111"), Way("comfyui", "JPEG", 85), Way("openai"))
INNOCENT = (Way("openai", "JPEG", 85), Way(""))


def row(models: Path, work: Path, suspect: str, way: Way) -> dict[str, Any]:
    """One suspect, asked in one way."""
    bound, keyring = copy_of(models, HALF, KEY)
    model = load_suspect(models / suspect, base=miniature_path())
    own = work / suspect / way.name.replace(" ", "-")
    if not way.service:
        return tested(bound, keyring, model, own)
    options = {"quality": way.quality} if way.quality else {}
    with serving(Loopback(drawn_by(model, bound.release.plan.steps), way.form, options)) as service:
        return tested(bound, keyring, reach(service, way.service, side=SIDE), own)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of benchmarks.wording train")
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    clock, rows = Clock(), []
    for suspect, ways in ((f"model-{HALF.name}-{TRAINING}-{KEY}", WAYS), ("innocent-0", INNOCENT)):
        for way in ways:
            path = args.work / f"{suspect}-{way.name.replace(' ', '-')}.json"
            found = measured_once(path, partial(row, args.models, args.work, suspect, way))
            rows.append({"guilty": suspect.startswith("model"), "way": way.name, **found})
            print(rows[-1], flush=True)
    what = f"{HALF.name}, {TRAINING}, key {KEY} of benchmarks.wording, and innocent-0; alpha 1e-3"
    write_result("suspect_services", {"what": what, "rows": rows}, clock())


if __name__ == "__main__":
    main()
