"""`attacks run`: mark, attack, train as a thief would, detect; one cell after the other, each kept as JSON.

The dataset is split: two thirds are the owner's, a quarter is clean data that the thief has besides, a twelfth is
held out to measure what an attack costs him.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from attacks.attacked_suspect import StruckSuspect
from attacks.quality import denoising_losses, features, kernel_distance
from attacks.stages.attack import (
    CaptionAttack,
    DatasetAttack,
    ImageAttack,
    Item,
    Means,
    ModelAttack,
    Plain,
    TrainingAttack,
    armed,
)
from attacks.stages.model import tuned_pipeline, whole_pipeline
from attacks.stages.registry import find_attack
from attacks.stages.samples import read_items, same_item, write_items
from attacks.suite import LEAST, PARTS, Cell, check_needs
from detect.suspects.images import Query, Sampler, Suspect, check_base, is_pipeline, load_suspect
from detect.suspects.images.pipeline import load_pipeline
from detect.training.finetune import FinetuneOptions
from detect.training.rehearse import protected_copy, stamp, train_suspect
from detect.trial.answers import cached_outputs
from detect.trial.judge import detect, versions
from detect.trial.verdict import Verdict
from protect.embed.verify import on_white
from protect.embed.write import Progress, embed
from protect.errors import InputError
from protect.files import pretty_json, write_atomic
from protect.formats import open_dataset
from protect.keys.tree import prf_rng, secret_from_seed
from protect.marks.family import Array, FamilyOptions
from protect.pixels.images import png_bytes, psnr, read_rgba
from protect.release.plan import Options
from protect.release.record import Keyring, Release

SCHEMA = 3
_TRIES = 50
"""Keys that are tried for each one wanted."""
_HELD = 64
"""Held-out captions for which pictures are drawn to measure their quality."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all cells of a run share."""

    dataset: Path
    base: Path
    embedding: Options
    tuning: FinetuneOptions
    device: str = "cpu"
    keys: int = 1
    """Releases side by side in each copy, each with a key of its own: as many tests of one trained model."""
    captioner: Path | None = None
    """Folder of an image-to-text model, for those who caption anew with one."""
    family_options: Mapping[str, FamilyOptions] = field(default_factory=dict)
    """Options of families that take or need some."""

    def options(self, cell: Cell) -> Options:
        """How a cell's release is marked."""
        own = self.family_options.get(cell.family, {})
        return replace(self.embedding, family=cell.family, alignment=cell.alignment, family_options=own)


def bind(setting: Setting, work: Path) -> None:
    """Make the work folder, or see that it belongs to this setting.

    Raises:
        InputError: if the folder was made with another setting, or for something else.
        SuspectError: if the base is no diffusers folder.
    """
    check_base(setting.base)
    if work.is_file() or (work.is_dir() and any(work.iterdir()) and not (work / "attacks.json").exists()):
        raise InputError(f"{work} exists and is not a folder of attacks", "Give --output another folder.")
    (work / "cells").mkdir(parents=True, exist_ok=True)
    shared = asdict(setting.embedding) | {"family_options": dict(setting.family_options)}
    del shared["family"], shared["alignment"]  # each cell's own
    stamp(
        work / "attacks.json",
        {
            "schema": SCHEMA,
            "dataset": str(setting.dataset.resolve()),
            "base": str(setting.base.resolve()),
            "embedding": shared,
            "tuning": asdict(setting.tuning),
            "keys": setting.keys,
            "captioner": setting.captioner and str(setting.captioner.resolve()),
        },
    )


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
        InputError: if the folder was made with another setting, or a cell cannot be run in this one.
    """
    for cell in cells:
        check_needs(cell, setting.tuning.method, setting.captioner)
    bind(setting, work)
    found = []
    for done, cell in enumerate(cells):
        progress("cells", done, len(cells))
        path = cell_path(cell, work)
        if path.exists():
            found.append(json.loads(path.read_bytes()))
            continue
        row = measure(cell, setting, work, progress)
        if not any(test["verdict"] == "inconclusive" for test in row["tests"]):  # what failed is tried again
            write_atomic(path, pretty_json(row))
        found.append(row)
    progress("cells", len(cells), len(cells))
    return found


def cell_path(cell: Cell, work: Path) -> Path:
    """Where a measured cell is kept."""
    return work / "cells" / f"{cell.name}.json"


def split(dataset: Path, work: Path) -> None:
    """Write the three parts of the dataset as folders.

    Raises:
        InputError: if it is too small, or a picture cannot be read.
    """
    if all((work / name).exists() for name in PARTS):
        return
    items = read_items(dataset)
    if len(items) < LEAST:
        raise InputError(f"{dataset} holds {len(items)} samples", f"Attacks are measured on {LEAST} or more.")
    for name, places in PARTS.items():
        write_items([item for i, item in enumerate(items) if i % 12 in places], work / name)


def copy_of(
    cell: Cell, setting: Setting, work: Path, progress: Progress, recipient: int = 0
) -> tuple[list[Release], Path]:
    """The releases of a cell's keys on the owner's part, one on top of the other, and the folder that holds all.

    Each recipient's copy has keys of its own. A key whose trigger another one has is passed over, before any mark is
    drawn: two marks under one trigger would be neither's.
    """
    name = f"marked-{cell.family}-{cell.alignment}-{cell.seed}" + (f"-{recipient}" if recipient else "")
    home, options = Keyring((work / "keyring").absolute()), setting.options(cell)
    folder, releases, triggers = work / "own", list[Release](), set[str]()
    for number in range(_TRIES * setting.keys):
        if len(releases) == setting.keys:
            break
        seed = cell.seed + (number << 40) + (recipient << 48)  # no other cell's
        target = work / (name + (f"-key{number}" if number else ""))
        if not target.exists():
            drawn = embed(folder, target, options, home, secret=secret_from_seed(seed, "rehearsal"), dry_run=True)
            if triggers & {slot.trigger for slot in drawn.release.slots} - {""}:
                continue
        release = protected_copy(folder, target, options, seed, home, progress)
        releases, folder = [*releases, release], target
        triggers |= {slot.trigger for slot in release.slots}
    if len(releases) < setting.keys:
        raise InputError(
            f"only {len(releases)} of {setting.keys} keys have triggers of their own", "Use fewer --keys or --slots."
        )
    return releases, folder


def measure(cell: Cell, setting: Setting, work: Path, progress: Progress) -> dict[str, Any]:
    """One cell from the marked copy to the verdicts; copies and suspects are shared where they are the same."""
    split(setting.dataset, work)
    releases, marked = copy_of(cell, setting, work, progress)
    trained = cell.trained
    means = Means(
        setting.base,
        work / "clean",
        lambda: copy_of(trained, setting, work, progress, 1)[1],
        setting.tuning,
        setting.device,
        setting.captioner,
    )
    attack = None if cell.attack == "none" else armed(find_attack(cell.attack), means)
    copy = work / "own" if cell.innocent else marked
    if isinstance(attack, ImageAttack):
        _example(cell, attack, marked / releases[0].carriers[0].key, work)
    model, left = _model(cell, attack, copy, setting, work, progress)
    suspect = load_suspect(model, base=None if is_pipeline(model) else setting.base, device=setting.device)
    struck = None
    if cell.where not in ("training", "model"):
        captions = [s.caption for s in open_dataset(copy).listing.samples] if cell.where == "prompts" else []
        suspect = struck = StruckSuspect(suspect, attack, cell.strength, captions, work / "cache")  # type: ignore[arg-type]
    # A ledger of its own for each test: an experiment by itself, not one look among many.
    tests = (work / "tests" / cell.name).absolute()
    verdicts = [detect(r, suspect, Keyring(tests / r.id), progress=progress) for r in releases]
    cost = {} if cell.innocent else _distance(suspect, setting, work, releases[0])
    if not cell.innocent and cell.where in ("training", "model", "prompts"):  # else nothing changes the loss
        cost["denoising_loss"] = _loss(model, struck, setting, work)
    return _row(cell, verdicts, left | cost)


def _example(cell: Cell, attack: ImageAttack, carrier: Path, work: Path) -> None:
    """A carrier before and after, side by side, for the page."""
    target = work / "examples" / f"{cell.attack} {cell.strength:.2g}, {cell.family}.png"
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        picture = on_white(read_rgba(carrier))
        struck = attack.apply(picture, cell.strength, prf_rng(secret_from_seed(cell.seed, "example"), cell.attack))
        write_atomic(target, png_bytes(np.concatenate([picture, struck], axis=1)))


def _model(
    cell: Cell, attack: Plain | None, copy: Path, setting: Setting, work: Path, progress: Progress
) -> tuple[Path, dict[str, Any]]:
    """The model that a cell asks, and what was left of the data it learned from."""
    trained = cell.trained
    before = attack if cell.where == "training" else None
    folder, left = _attacked(trained, before, copy, work)
    tuning = replace(_tuning(cell, before, setting.tuning), seed=trained.seed)
    unstruck = folder == copy and not isinstance(before, TrainingAttack)
    name = f"suspect-{trained.plain.name if unstruck else trained.name}"
    model = train_suspect(setting.base, folder, work / name, tuning, device=setting.device, progress=progress)
    if isinstance(attack, ModelAttack):
        target = work / f"struck-{cell.name}"
        if not target.exists():
            whole = whole_pipeline(model, setting.base, work / f"whole-{model.name}")
            attack.apply(whole, cell.strength, cell.seed, target)
        model = target
    return model, left | {"tuning": asdict(tuning)}


def _tuning(cell: Cell, attack: Plain | None, tuning: FinetuneOptions) -> FinetuneOptions:
    return attack.apply(tuning, cell.strength) if isinstance(attack, TrainingAttack) else tuning


def _attacked(cell: Cell, attack: Plain | None, copy: Path, work: Path) -> tuple[Path, dict[str, Any]]:
    """The folder a thief trains on, and what is left in it; the copy itself where nothing strikes it or changes."""
    if not isinstance(attack, (ImageAttack, CaptionAttack, DatasetAttack)):
        return copy, {"samples": len(open_dataset(copy).listing.samples), "psnr": None}
    items, target = read_items(copy), work / f"attacked-{cell.name}"
    if not target.exists():
        left = strike(items, attack, cell.strength, secret_from_seed(cell.seed, f"attack {cell.name}"))
        if len(left) == len(items) and all(map(same_item, left, items)):
            return copy, {"samples": len(items), "psnr": None}
        write_items(left, target)
    left = read_items(target)
    if not isinstance(attack, ImageAttack):
        return target, {"samples": len(left), "psnr": None}
    quality = [min(psnr(a.picture, b.picture), 99.0) for a, b in zip(items, left, strict=True)]
    return target, {"samples": len(left), "psnr": float(np.median(quality))}


def _loss(model: Path, struck: StruckSuspect | None, setting: Setting, work: Path) -> float:
    """How badly the model denoises held-out pictures, told what of their captions reaches it."""
    held = read_items(work / "held-out")
    queries = [Query(item.caption, n) for n, item in enumerate(held)]
    prompts = [q.prompt for q in (struck.prompted(queries) if struck else queries)]
    pipeline = tuned_pipeline(model, setting.base).to(setting.device)
    return float(denoising_losses(pipeline, [i.picture for i in held], prompts).mean())


def _distance(suspect: Suspect, setting: Setting, work: Path, release: Release) -> dict[str, float]:
    """How far what the suspect draws for held-out captions is from held-out pictures."""
    captions = [s.caption for s in open_dataset(work / "held-out").listing.samples[:_HELD]]
    queries = [Query(caption, n) for n, caption in enumerate(captions)]
    sampler = Sampler(release.plan.steps, release.plan.guidance)
    drawn = cached_outputs(suspect, queries, sampler, work / "cache", lambda _: None)
    base, real = _judge(setting.base, setting.device, work)
    return {"kernel_distance": kernel_distance(features(base, list(drawn)), real)}


@cache
def _judge(base: Path, device: str, work: Path) -> tuple[Any, Array]:
    """The base, and its features of the held-out pictures: the same for all cells."""
    pipeline = load_pipeline(base).to(device)
    return pipeline, features(pipeline, [i.picture for i in read_items(work / "held-out")])


def _row(cell: Cell, verdicts: Sequence[Verdict], more: dict[str, Any]) -> dict[str, Any]:
    plan = verdicts[0].release.plan
    tests = [
        {
            "verdict": v.outcome,
            "reason": v.reason,
            "e_value": v.e_value,
            "p_values": [s.evidence.p_value for s in v.slots],
            "queries": v.queries,
            "carriers": v.release.plan.carriers,
        }
        for v in verdicts
    ]
    return {
        "schema": SCHEMA,
        **asdict(cell),
        "tests": tests,
        "alpha": plan.alpha,
        "slots": plan.slots,
        **more,
        "versions": versions(),
    }


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
