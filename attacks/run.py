"""`attacks run`: mark, attack, train as a thief would, detect; one cell after the other, each kept as JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attacks.interface import CaptionAttack, DatasetAttack, ImageAttack, Item, TrainingAttack
from attacks.registry import find_attack
from attacks.suite import Cell
from detect.finetune import FinetuneOptions
from detect.interface import Verdict
from detect.rehearse import protected_copy, stamp, train_suspect
from detect.run import detect, versions
from detect.suspects import Query, Sampler, Suspect, load_suspect
from protect.embed import Progress
from protect.files import pretty_json, write_atomic
from protect.formats import open_dataset
from protect.images import png_bytes, psnr, read_rgba
from protect.keys import prf_rng, secret_from_seed
from protect.plan import Options
from protect.release import Keyring, Release
from protect.verify import on_white

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Setting:
    """What all cells of a run share."""

    dataset: Path
    base: Path
    embedding: Options
    tuning: FinetuneOptions
    device: str = "cpu"

    def options(self, cell: Cell) -> Options:
        """How a cell's release is marked."""
        return replace(self.embedding, family=cell.family, alignment=cell.alignment)


class AttackedSuspect(Suspect):
    """A suspect whose outputs are attacked on their way out."""

    def __init__(self, suspect: Suspect, attack: ImageAttack, strength: float) -> None:
        self._suspect, self._attack, self._strength = suspect, attack, strength
        self.name = f"{suspect.name}, {attack.name} {strength:g}"
        self.identity = suspect.identity | {"outputs": f"{attack.name} {strength:g}"}

    def generate(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        """The suspect's pictures, each attacked with randomness from its own question."""
        drawn = self._suspect.generate(queries, sampler)
        rngs = [prf_rng(q.prompt.encode() + b"\0", "output attack", q.seed) for q in queries]
        return np.stack([self._attack.apply(p, self._strength, rng) for p, rng in zip(drawn, rngs, strict=True)])


def run_cells(
    cells: Sequence[Cell], setting: Setting, work: Path, progress: Progress = lambda *_: None
) -> list[dict[str, Any]]:
    """Measure cells; finished ones are read back, so a stopped run goes on where it was.

    Args:
        cells: what to measure.
        setting: what they share.
        work: folder for everything.
        progress: told (stage, done, total).

    Raises:
        InputError: if the folder was made with another setting.
    """
    (work / "cells").mkdir(parents=True, exist_ok=True)
    stamp(work / "attacks.json", {
        "dataset": str(setting.dataset.resolve()), "base": str(setting.base.resolve()),
        "embedding": asdict(setting.embedding), "tuning": asdict(setting.tuning),
    })  # fmt: skip
    found = []
    for done, cell in enumerate(cells):
        progress("cells", done, len(cells))
        path = work / "cells" / f"{cell.name}.json"
        if not path.exists():
            write_atomic(path, pretty_json(measure(cell, setting, work, progress)))
        found.append(json.loads(path.read_bytes()))
    progress("cells", len(cells), len(cells))
    return found


def measure(cell: Cell, setting: Setting, work: Path, progress: Progress) -> dict[str, Any]:
    """One cell from the marked copy to the verdict; copies and suspects are shared where they are the same."""
    home = Keyring((work / "keyring").absolute())
    copy = work / f"marked-{cell.family}-{cell.alignment}-{cell.seed}"
    release = protected_copy(setting.dataset, copy, setting.options(cell), cell.seed, home, progress)
    folder, left = _attacked(cell.trained, copy, work)
    tuning = _tuning(cell.trained, setting.tuning)
    model = train_suspect(setting.base, folder, work / f"suspect-{cell.trained.name}", tuning,
                          device=setting.device, progress=progress)  # fmt: skip
    suspect = load_suspect(model, base=setting.base if tuning.method == "lora" else None, device=setting.device)
    if cell.where == "outputs":
        attack = find_attack(cell.attack)
        assert isinstance(attack, ImageAttack)
        suspect = AttackedSuspect(suspect, attack, cell.strength)
    # A ledger of its own for each cell: an experiment by itself, not one look among many.
    verdict = detect(release, suspect, Keyring((work / "tests" / cell.name).absolute()), progress=progress)
    return _row(cell, release, verdict, left, tuning)


def _row(
    cell: Cell, release: Release, verdict: Verdict, left: dict[str, Any], tuning: FinetuneOptions
) -> dict[str, Any]:
    return {
        "schema": SCHEMA, **asdict(cell), "verdict": verdict.outcome, "reason": verdict.reason,
        "e_value": verdict.e_value, "p_values": [s.evidence.p_value for s in verdict.slots],
        "queries": verdict.queries, "alpha": verdict.alpha, "carriers": release.plan.carriers,
        "slots": release.plan.slots, **left, "tuning": asdict(tuning), "versions": versions(),
    }  # fmt: skip


def _tuning(cell: Cell, tuning: FinetuneOptions) -> FinetuneOptions:
    attack = None if cell.attack == "none" else find_attack(cell.attack)
    changed = attack.apply(tuning, cell.strength) if isinstance(attack, TrainingAttack) else tuning
    return replace(changed, seed=cell.seed)


def _attacked(cell: Cell, copy: Path, work: Path) -> tuple[Path, dict[str, Any]]:
    """The folder a thief trains on, and what is left in it; the copy itself where nothing strikes it."""
    samples = open_dataset(copy).listing.samples
    attack = None if cell.attack == "none" else find_attack(cell.attack)
    if attack is None or isinstance(attack, TrainingAttack):
        return copy, {"samples": len(samples), "psnr": None}
    items = [Item(s.key, on_white(read_rgba(copy / s.key)), s.caption) for s in samples]
    secret = secret_from_seed(cell.seed, f"attack {cell.name}")
    changed = strike(items, attack, cell.strength, secret)
    target = work / f"attacked-{cell.name}"
    if not target.exists():
        _write(changed, target)
    before = {item.key: item.picture for item in items}
    quality = [min(psnr(before[i.key], i.picture), 99.0) for i in changed]
    return target, {"samples": len(changed), "psnr": float(np.median(quality)) if quality else None}


def strike(
    items: Sequence[Item], attack: ImageAttack | CaptionAttack | DatasetAttack, strength: float, secret: bytes
) -> list[Item]:
    """A dataset after an attack; every picture's randomness is its own."""
    if isinstance(attack, ImageAttack):
        return [
            replace(item, picture=attack.apply(item.picture, strength, prf_rng(secret, "picture", item.key)))
            for item in items
        ]
    rng = prf_rng(secret, "dataset")
    if isinstance(attack, CaptionAttack):
        captions = attack.apply([item.caption for item in items], strength, rng)
        return [replace(item, caption=caption) for item, caption in zip(items, captions, strict=True)]
    return attack.apply(items, strength, rng)


def _write(items: Sequence[Item], target: Path) -> None:
    """Pictures and captions as `metadata.jsonl` has them; appears under its name only when whole."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    rows = []
    for number, item in enumerate(items):
        name = f"{number:06}.png"
        (partial / name).write_bytes(png_bytes(item.picture))
        rows.append(json.dumps({"file_name": name, "text": item.caption}, ensure_ascii=False) + "\n")
    (partial / "metadata.jsonl").write_text("".join(rows), encoding="utf-8")
    partial.rename(target)
