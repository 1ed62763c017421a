"""`detect rehearse`: mark with a throw-away key, fine-tune, detect. "Would I be able to prove it?"."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import torch

from detect.reports.words import EFFECTS
from detect.suspects.images import load_suspect
from detect.suspects.images.folder import native_size
from detect.suspects.images.opening import open_model
from detect.training.architecture import known_architecture
from detect.training.finetune import finetune, set_aside_before
from detect.training.learned import captions_learned
from detect.training.options import FinetuneOptions
from detect.training.records import training_records
from detect.training.runs import Taught, keep, measured
from detect.trial.judge import detect, uses_reference
from detect.trial.verdict import Verdict
from protect.embed.places import commitment_file
from protect.embed.write import embed
from protect.errors import InputError
from protect.files import pretty_json, write_atomic
from protect.formats import open_dataset
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.formats.record import Record, SetAside
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.progress import Progress, no_progress
from protect.release.bound import bind
from protect.release.plan import Options
from protect.release.power import RUN_FILE
from protect.release.record import Release

_STAMP = "rehearsal.json"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A working folder with a copy that was marked with a throw-away key."""

    work: Path
    release: Release
    reading: ReadOptions
    keyring: Keyring

    @property
    def copy(self) -> Path:
        """What is to be trained on."""
        return self.work / "protected"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A rehearsed release and what detection said of a model trained on it."""

    release: Release
    suspect: Path
    verdict: Verdict
    captions_learned: float | None
    """How far the suspect learned its captions (`learned.captions_learned`); None for models of unknown kinds."""
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


def prepare(
    dataset: Path,
    work: Path,
    embedding: Options,
    *,
    reading: ReadOptions = AS_IT_IS,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Prepared:
    """Mark `dataset` with a throw-away key, unless `work` holds that copy already.

    Args:
        dataset: the owner's dataset; not changed.
        work: folder for the copy, suspects, a keyring and a cache of their own; a second run reuses what is there.
        embedding: how to mark.
        reading: what the owner says about the dataset.
        seed: of the throw-away key.
        progress: called with (stage, done, total).

    Raises:
        InputError: if `work` cannot be used, or the dataset cannot be marked.
    """
    _check_work(work, dataset)
    open_dataset(dataset, reading)  # refused before anything is written
    work.mkdir(parents=True, exist_ok=True)
    settings = {
        "dataset": str(dataset.resolve()),
        "reading": asdict(reading),
        "seed": seed,
        "embedding": embedding.settled(),
    }
    stamp(work / _STAMP, settings)
    keyring = Keyring(work.absolute() / "keyring")
    release = protected_copy(dataset, work / "protected", embedding, seed, keyring, progress, reading)
    return Prepared(work, release, reading, keyring)


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
        dataset: as `prepare` takes it, like all others that are not named here.
        base: a diffusers folder.
        work: see `prepare`.
        embedding: see `prepare`.
        tuning: how to fine-tune.
        reading: see `prepare`.
        seed: see `prepare`.
        device: where to train and sample.
        progress: called with (stage, done, total).

    Raises:
        InputError: if `work` cannot be used, or the dataset can be neither marked nor learned.
    """
    prepared = prepare(dataset, work, embedding, reading=reading, seed=seed, progress=progress)
    stamp(work / "training.json", {"base": str(base.resolve()), "tuning": asdict(tuning)})
    path = work / "suspect"
    set_aside = train_suspect(base, prepared.copy, path, tuning, reading=reading, device=device, progress=progress)
    passes = tuning.presentations / len(training_records(prepared.copy, reading)[0])
    own = base if tuning.method == "lora" else None
    done = rehearse_made(prepared, path, own, passes, size=tuning.size, device=device, progress=progress)
    return replace(done, set_aside=set_aside)


def rehearse_made(
    prepared: Prepared,
    suspect: Path,
    base: Path | None,
    passes: float,
    *,
    size: int | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> Rehearsal:
    """Detect in a model that was made from a prepared copy, by whatever program.

    Args:
        prepared: the copy.
        suspect: a whole model, or an adapter for `base`.
        base: the diffusers folder that an adapter goes onto; its words are taken off as a reference.
        passes: how often its trainer showed it each sample.
        size: side of its training pictures in pixels; None is the model's own.
        device: where to sample.
        progress: called with (stage, done, total).

    Raises:
        SuspectError: if the model cannot be opened.
    """
    release, keyring = prepared.release, prepared.keyring
    opened = load_suspect(suspect, base=base, device=device)
    reference = load_suspect(base, device=device) if base is not None and uses_reference(release) else None
    bound, cache = bind(release, keyring.store), prepared.work / "cache"
    verdict = detect(bound, opened, keyring, cache, reference=reference, progress=progress)
    del opened, reference  # their memory is wanted
    records, unread = training_records(prepared.copy, prepared.reading)
    learned = _learned(suspect, base, records, size, device, progress)
    runs = measured(verdict, Taught(_name(release, suspect), "lora" if base else "full", passes, learned))
    keep(prepared.work / RUN_FILE, runs)
    return Rehearsal(release, suspect, verdict, learned, tuple(unread))


def _check_work(work: Path, dataset: Path) -> None:
    if work.resolve().is_relative_to(dataset.resolve()):
        raise InputError(f"{work} lies inside the dataset", "Give --output another folder.")
    if work.is_file() or (work.is_dir() and any(work.iterdir()) and not (work / _STAMP).exists()):
        raise InputError(f"{work} exists and is not a rehearsal's folder", "Give --output another folder.")


def _name(release: Release, suspect: Path) -> str:
    """What a run calls its model: the same for what lies in the same place."""
    return f"{release.id} {sha256(str(suspect.resolve()).encode()).hexdigest()[:8]}"


def _learned(
    suspect: Path, base: Path | None, records: Sequence[Record], size: int | None, device: str, progress: Progress
) -> float | None:
    """How far a model learned the captions of what it was trained on; None for kinds that are not known here."""
    half = torch.device(device).type != "cpu"
    opened = open_model([suspect], base, dtype=torch.bfloat16 if half else torch.float32)
    if (model := known_architecture(opened.pipeline)) is None:
        return None
    opened.pipeline.to(device)
    side = size or native_size(opened.pipeline)
    return None if side is None else captions_learned(model, records, side, device, progress)
