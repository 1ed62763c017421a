"""`detect rehearse`: mark with a throw-away key, fine-tune, detect. "Would I be able to prove it?"."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from detect.suspects.images import load_suspect
from detect.training.finetune import FinetuneOptions, finetune
from detect.trial.judge import detect
from detect.trial.verdict import Verdict
from protect.alignments import committed_alignment
from protect.embed.write import Progress, embed
from protect.errors import InputError
from protect.files import pretty_json, write_atomic
from protect.formats import open_dataset
from protect.keys.tree import secret_from_seed
from protect.release.plan import Options
from protect.release.power import RUN_FILE, Run
from protect.release.record import Keyring, Release


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A rehearsed release and what detection said of a model trained on it."""

    release: Release
    suspect: Path
    verdict: Verdict


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


def captioned_files(folder: Path) -> list[tuple[Path, str]]:
    """Every captioned picture of a dataset folder, as fine-tuning wants them."""
    return [(folder / s.key, s.caption) for s in open_dataset(folder).listing.samples]


def train_suspect(
    base: Path, dataset: Path, output: Path, options: FinetuneOptions, *, device: str, progress: Progress
) -> Path:
    """Fine-tune `base` on a dataset folder, unless `output` is there from an earlier run."""
    if output.exists():
        return output
    stage = f"fine-tuning on {dataset.name}"
    return finetune(
        base,
        captioned_files(dataset),
        output,
        options,
        device=device,
        progress=lambda done, total, _: progress(stage, done, total),
    )


def protected_copy(
    dataset: Path, output: Path, options: Options, seed: int, keyring: Keyring, told: Progress
) -> Release:
    """Embed with a throw-away key, unless `output` is there from an earlier run."""
    if output.exists():
        return keyring.load(output.name)
    secret = secret_from_seed(seed, "rehearsal")
    return embed(dataset, output, options, keyring, secret=secret, progress=told).release


def rehearse(
    dataset: Path,
    base: Path,
    work: Path,
    embedding: Options,
    tuning: FinetuneOptions,
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = lambda *_: None,
) -> Rehearsal:
    """Mark `dataset` with a throw-away key, fine-tune `base` on the copy, and detect.

    Args:
        dataset: the owner's dataset; not changed.
        base: a diffusers folder.
        work: folder for the copy, the suspect and a keyring of their own; a second run reuses what is there.
        embedding: how to mark.
        tuning: how to fine-tune.
        seed: of the throw-away key.
        device: where to train and sample.
        progress: told (stage, done, total).
    """
    samples = len(open_dataset(dataset).listing.samples)
    if work.resolve().is_relative_to(dataset.resolve()):
        raise InputError(f"{work} lies inside the dataset", "Give --output another folder.")
    if work.is_file() or (work.is_dir() and any(work.iterdir()) and not (work / "rehearsal.json").exists()):
        raise InputError(f"{work} exists and is not a rehearsal's folder", "Give --output another folder.")
    work.mkdir(parents=True, exist_ok=True)
    settings = {
        "dataset": str(dataset.resolve()),
        "base": str(base.resolve()),
        "seed": seed,
        "embedding": embedding.settled(),
        "tuning": asdict(tuning),
    }
    stamp(work / "rehearsal.json", settings)
    keyring = Keyring(work.absolute() / "keyring")
    release = protected_copy(dataset, work / "protected", embedding, seed, keyring, progress)
    path = train_suspect(base, work / "protected", work / "suspect", tuning, device=device, progress=progress)
    suspect = load_suspect(path, base=base if tuning.method == "lora" else None, device=device)
    done = Rehearsal(release, path, detect(release, suspect, keyring, progress=progress))
    runs = measured(done.verdict, tuning, tuning.steps * tuning.batch / samples)
    write_atomic(work / RUN_FILE, pretty_json([asdict(run) for run in runs]))
    return done


def measured(verdict: Verdict, tuning: FinetuneOptions, passes: float) -> list[Run]:
    """What a rehearsal teaches about power: one run per slot that was asked; found if it would suffice alone."""
    plan = verdict.release.plan
    return [
        Run(
            plan.family,
            committed_alignment(plan).name,
            tuning.method,
            passes * sum(c.slot == slot.slot for c in verdict.release.carriers),
            slot.evidence.e_value >= 1 / plan.alpha,
        )
        for slot in verdict.slots
    ]
