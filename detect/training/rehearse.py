"""`detect rehearse`: mark with a throw-away key, fine-tune, detect. "Would I be able to prove it?"."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from detect.reports.words import EFFECTS
from detect.suspects.images import load_suspect
from detect.training.finetune import finetune, set_aside_before
from detect.training.options import FinetuneOptions
from detect.training.records import training_records
from detect.trial.judge import detect, uses_reference
from detect.trial.verdict import SlotResult, Verdict
from protect.embed.places import commitment_file
from protect.embed.write import embed
from protect.errors import InputError
from protect.evidence import running_evidence
from protect.files import pretty_json, write_atomic
from protect.formats import open_dataset
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.formats.record import SetAside
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.progress import Progress, no_progress
from protect.release.bound import bind
from protect.release.plan import Options
from protect.release.power import RUN_FILE, Run, strength_options
from protect.release.record import Release


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A rehearsed release and what detection said of a model trained on it."""

    release: Release
    suspect: Path
    verdict: Verdict
    set_aside: tuple[SetAside, ...]
    """Samples of the copy that the suspect did not learn from."""

    @property
    def effect(self) -> str:
        """What it means to the owner, in a few words."""
        return EFFECTS[self.verdict.outcome]


def stamp(path: Path, settings: dict[str, object]) -> None:
    """Bind a working folder to its settings, so that a later run never answers for earlier ones.

    Raises:
        InputError: if the folder was made with other settings.
    """
    data = pretty_json(settings)
    if path.exists() and path.read_bytes() != data:
        raise InputError(f"{path.parent} was made with other settings", "Give --output another folder.")
    if not path.exists():  # others may be at work in that folder
        write_atomic(path, data)


def train_suspect(
    base: Path,
    dataset: Path,
    output: Path,
    options: FinetuneOptions,
    *,
    reading: ReadOptions = AS_IT_IS,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> tuple[SetAside, ...]:
    """Fine-tune `base` on a dataset, unless `output` is there from an earlier run.

    Returns:
        Samples that the model did not learn from, with the reason.
    """
    records, unread = training_records(dataset, reading)
    if output.exists():
        return (*unread, *set_aside_before(output))
    stage = f"fine-tuning on {dataset.name}"
    undecoded = finetune(
        base, records, output, options, device=device, progress=lambda done, total, _: progress(stage, done, total)
    )
    return (*unread, *undecoded)


def protected_copy(
    dataset: Path,
    output: Path,
    options: Options,
    seed: int,
    keyring: Keyring,
    progress: Progress = no_progress,
    reading: ReadOptions = AS_IT_IS,
) -> Release:
    """Embed with a throw-away key, unless `output` is there from an earlier run."""
    if output.exists():
        return keyring.load(json.loads(commitment_file(output).read_bytes())["release"])
    secret = secret_from_seed(seed, "rehearsal")
    return embed(dataset, output, options, keyring, reading=reading, secret=secret, progress=progress).release


def rehearse(
    dataset: Path,
    base: Path,
    work: Path,
    embedding: Options,
    tuning: FinetuneOptions,
    *,
    reading: ReadOptions = AS_IT_IS,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> Rehearsal:
    """Mark `dataset` with a throw-away key, fine-tune `base` on the copy, and detect.

    Args:
        dataset: the owner's dataset; not changed.
        base: a diffusers folder.
        work: folder for the copy, the suspect, a keyring and a cache of their own; a second run reuses what is there.
        embedding: how to mark.
        tuning: how to fine-tune.
        reading: what the owner says about the dataset.
        seed: of the throw-away key.
        device: where to train and sample.
        progress: called with (stage, done, total).

    Raises:
        InputError: if `work` cannot be used, or the dataset can be neither marked nor learned.
    """
    _check_work(work, dataset)
    open_dataset(dataset, reading)  # refused before anything is written
    work.mkdir(parents=True, exist_ok=True)
    settings = {
        "dataset": str(dataset.resolve()),
        "reading": asdict(reading),
        "base": str(base.resolve()),
        "seed": seed,
        "embedding": embedding.settled(),
        "tuning": asdict(tuning),
    }
    stamp(work / "rehearsal.json", settings)
    keyring, copy, path = Keyring(work.absolute() / "keyring"), work / "protected", work / "suspect"
    release = protected_copy(dataset, copy, embedding, seed, keyring, progress, reading)
    set_aside = train_suspect(base, copy, path, tuning, reading=reading, device=device, progress=progress)
    suspect = load_suspect(path, base=base if tuning.method == "lora" else None, device=device)
    reference = load_suspect(base, device=device) if tuning.method == "lora" and uses_reference(release) else None
    bound, cache = bind(release, keyring.store), work / "cache"
    verdict = detect(bound, suspect, keyring, cache, reference=reference, progress=progress)
    learned = len(training_records(copy, reading)[0])
    runs = measured(verdict, tuning, tuning.presentations / learned)
    write_atomic(work / RUN_FILE, pretty_json([asdict(run) for run in runs]))
    return Rehearsal(release, path, verdict, set_aside)


def _check_work(work: Path, dataset: Path) -> None:
    if work.resolve().is_relative_to(dataset.resolve()):
        raise InputError(f"{work} lies inside the dataset", "Give --output another folder.")
    if work.is_file() or (work.is_dir() and any(work.iterdir()) and not (work / "rehearsal.json").exists()):
        raise InputError(f"{work} exists and is not a rehearsal's folder", "Give --output another folder.")


def measured(verdict: Verdict, tuning: FinetuneOptions, passes: float) -> list[Run]:
    """What a rehearsal teaches about power: a run for each slot that was asked, or for all that share questions."""
    release = verdict.release
    groups: dict[tuple[str, ...], list[SlotResult]] = {}
    for slot in verdict.slots:
        asked = release.slot_questions(slot.slot)
        groups.setdefault(asked.prompts if asked.design else (str(slot.slot),), []).append(slot)
    return [_run(release, group, tuning, passes) for group in groups.values()]


def _run(release: Release, slots: Sequence[SlotResult], tuning: FinetuneOptions, passes: float) -> Run:
    part, taught = release.plan.part_of_slot[slots[0].slot], [release.slot_questions(s.slot).taught for s in slots]
    together = running_evidence([slot.evidence for slot in slots])
    return Run(
        part.family,
        part.alignment.partition("/")[0],
        tuning.method,
        passes * sum(taught) / len(taught),
        bool(together.max() >= 1 / release.plan.alpha),
        options=strength_options(part.family, part.family_options),
        suspect=release.id,
        slots=part.slots if release.slot_questions(slots[0].slot).design else 1,
        p_values=tuple(slot.evidence.p_value for slot in slots),
    )
