"""One cell, from the marked copy to the verdicts: mark, attack, train as a thief would, detect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from attacks.attacked_suspect import AttackedSuspect
from attacks.cell import Cell, check_needs
from attacks.quality import denoising_losses, features, kernel_distance
from attacks.result import CellResult, KeyTest, Price
from attacks.stages.attack import Attack, Captioned
from attacks.stages.model import tuned_pipeline, whole_pipeline
from attacks.stages.registry import NOTHING, find_attack
from attacks.stages.samples import count_records, read_captioned, read_picture, same_sample, write_samples
from attacks.workshop import MarkedCopy, Workshop
from detect.suspects.images import Query, Sampler, Suspect, is_pipeline, load_suspect
from detect.suspects.images.folder import load_pipeline
from detect.training.architecture import Architecture, architecture_of
from detect.training.options import FinetuneOptions
from detect.training.rehearse import train_suspect
from detect.trial.answers import cached_outputs
from detect.trial.judge import detect, versions
from detect.trial.verdict import Verdict
from protect.files import write_atomic
from protect.keys.tree import prf_rng, secret_from_seed
from protect.marks.family import Array
from protect.pixels.measure import png_bytes, psnr
from protect.release.record import Plan

_HELD = 64
"""Held-out captions for which pictures are drawn to measure their quality."""
_EQUAL = 99.0
"""Decibels that equal pictures count as."""


def run_cells(cells: Sequence[Cell], workshop: Workshop) -> list[CellResult]:
    """Measure cells; finished ones are read back, so a stopped run goes on where it was.

    Args:
        cells: what to measure.
        workshop: what they share.

    Raises:
        InputError: if the folder was made with another setting, or a cell cannot be run in this one.
    """
    setting = workshop.setting
    for cell in cells:
        check_needs(cell, setting.tuning.method, setting.captioner)
    workshop.prepare()
    found = []
    for done, cell in enumerate(cells):
        workshop.progress("cells", done, len(cells))
        result = workshop.load(cell)
        if result is None:
            result = measure(cell, workshop)
            workshop.save(result)
        found.append(result)
    workshop.progress("cells", len(cells), len(cells))
    return found


def measure(cell: Cell, workshop: Workshop) -> CellResult:
    """Measure one cell in a prepared workshop; copies and suspects are shared where they are the same."""
    marked = workshop.marked_copy(cell)
    attack = find_attack(cell.attack).equipped(workshop.resources(cell.trained))
    if attack.alters_pictures:
        _keep_example(cell, attack, marked, workshop)
    copy = workshop.part("own") if cell.innocent else marked.folder
    lesson = _lesson(cell, attack, copy, workshop)
    model = _model(cell, attack, lesson, workshop)
    suspect = _suspect(cell, attack, model, copy, workshop)
    verdicts = [
        detect(
            release,
            suspect,
            workshop.ledger(cell, release),
            workshop.cache,
            reference=_reference(workshop),
            progress=workshop.progress,
        )
        for release in marked.releases
    ]
    plan = marked.releases[0].release.plan
    return CellResult(
        cell=cell,
        tests=tuple(map(_test, verdicts)),
        alpha=plan.alpha,
        slots=plan.slots,
        samples=lesson.samples,
        psnr=lesson.psnr,
        price=Price() if cell.innocent else _price(cell, suspect, model, plan, workshop),
        tuning=lesson.tuning,
        suspect=dict(suspect.identity),
        versions=versions(),
    )


def _test(verdict: Verdict) -> KeyTest:
    return KeyTest(
        verdict=verdict.outcome,
        reason=verdict.reason,
        e_value=verdict.e_value,
        p_values=tuple(slot.evidence.p_value for slot in verdict.slots),
        queries=verdict.queries,
        carriers=len(verdict.release.carriers),
    )


def _keep_example(cell: Cell, attack: Attack, marked: MarkedCopy, workshop: Workshop) -> None:
    """A carrier before and after, side by side, for the page."""
    target = workshop.work / "examples" / f"{cell.attack} {cell.strength:.2g}, {cell.family}.png"
    if target.exists():
        return
    before = read_picture(marked.folder, marked.releases[0].release.carriers[0].key)
    rng = prf_rng(secret_from_seed(cell.seed, "example"), cell.attack)
    after = attack.on_output(before, cell.strength, rng)
    target.parent.mkdir(exist_ok=True)
    write_atomic(target, png_bytes(np.concatenate([before, after], axis=1)))


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What a thief trains on, and how."""

    folder: Path
    samples: int
    psnr: float | None
    tuning: FinetuneOptions
    altered: bool
    """Whether the attack changed any of it."""


def _lesson(cell: Cell, attack: Attack, copy: Path, workshop: Workshop) -> _Lesson:
    """What a thief trains on: the copy itself where nothing strikes it or changes."""
    early = attack if cell.where == "training" else NOTHING
    usual = workshop.setting.tuning
    changed = early.on_tuning(usual, cell.strength)
    folder, samples, damage = copy, count_records(copy), None
    if early.alters_data:
        before, target = read_captioned(copy), workshop.work / f"attacked-{cell.trained.name}"
        after = read_captioned(target) if target.exists() else attacked(before, early, cell.trained)
        if len(after) != len(before) or not all(map(same_sample, after, before)):
            folder, samples = write_samples(after, target), len(after)
            damage = _damage(before, after) if early.alters_pictures else None
    altered = folder != copy or changed != usual
    return _Lesson(folder, samples, damage, replace(changed, seed=cell.trained.seed), altered)


def attacked(samples: Sequence[Captioned], attack: Attack, cell: Cell) -> list[Captioned]:
    """A dataset after the attack of a cell; the same whenever it is asked for."""
    return attack.on_data(samples, cell.strength, secret_from_seed(cell.seed, f"attack {cell.name}"))


def _damage(before: Sequence[Captioned], after: Sequence[Captioned]) -> float:
    """Median PSNR of attacked pictures against those before."""
    return float(np.median([min(psnr(a.picture, b.picture), _EQUAL) for a, b in zip(before, after, strict=True)]))


def _model(cell: Cell, attack: Attack, lesson: _Lesson, workshop: Workshop) -> Path:
    """The model that a cell asks; what trains nothing new shares it."""
    setting, trained = workshop.setting, cell.trained
    model = workshop.work / f"suspect-{trained.name if lesson.altered else trained.plain.name}"
    train_suspect(setting.base, lesson.folder, model, lesson.tuning, device=setting.device, progress=workshop.progress)
    if cell.where != "model":
        return model
    whole = whole_pipeline(model, setting.base, workshop.work / f"whole-{model.name}")
    return attack.on_model(whole, cell.strength, cell.seed, workshop.work / f"altered-{cell.name}")


def _suspect(cell: Cell, attack: Attack, model: Path, copy: Path, workshop: Workshop) -> Suspect:
    """The model, or what stands before it where its questions or answers are altered."""
    setting = workshop.setting
    suspect = load_suspect(model, base=None if is_pipeline(model) else setting.base, device=setting.device)
    if cell.where in {"training", "model"}:
        return suspect
    captions = [s.caption for s in read_captioned(copy)] if cell.where == "prompts" else []
    return AttackedSuspect(suspect, attack, cell.strength, captions, workshop.cache)


def _reference(workshop: Workshop) -> Suspect | None:
    """A LoRA's base, as `detect run` takes it by itself."""
    setting = workshop.setting
    return load_suspect(setting.base, device=setting.device) if setting.tuning.method == "lora" else None


def _price(cell: Cell, suspect: Suspect, model: Path, plan: Plan, workshop: Workshop) -> Price:
    """What the attack leaves the thief with. Altered answers leave the loss as it is."""
    held = read_captioned(workshop.part("held-out"))
    queries = [Query(sample.caption, n) for n, sample in enumerate(held)]
    distance = _distance(suspect, queries[:_HELD], Sampler(plan.steps, plan.guidance), workshop)
    if cell.where not in {"training", "model", "prompts"}:
        return Price(None, distance)
    heard = suspect.altered_prompts(queries) if isinstance(suspect, AttackedSuspect) else queries
    tuned = architecture_of(tuned_pipeline(model, workshop.setting.base).to(workshop.setting.device), model)
    losses = denoising_losses(tuned, [s.picture for s in held], [q.prompt for q in heard])
    return Price(float(losses.mean()), distance)


def _distance(suspect: Suspect, queries: Sequence[Query], sampler: Sampler, workshop: Workshop) -> float:
    """How far what the suspect draws for held-out captions is from held-out pictures."""
    drawn = cached_outputs(suspect, queries, sampler, workshop.cache)
    base, real = _held_out(workshop.setting.base, workshop.setting.device, workshop.part("held-out"))
    return kernel_distance(features(base, list(drawn)), real)


@cache
def _held_out(base: Path, device: str, folder: Path) -> tuple[Architecture, Array]:
    """The base, and its features of the held-out pictures: the same for all cells."""
    model = architecture_of(load_pipeline(base).to(device), base)
    return model, features(model, [s.picture for s in read_captioned(folder)])
