"""Fine-tuning of a text-to-image model on captioned pictures, as people usually do it.

Used to rehearse a release ("would this be detected?") and to measure attacks. A run that was killed continues exactly
where its last checkpoint stands.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import torch

from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import first_line, folder_digest
from detect.training.options import FinetuneOptions
from detect.training.trainer import Trainer
from protect.errors import InputError
from protect.files import PARTIAL, canonical_json, pretty_json, write_atomic
from protect.formats.record import Record, SetAside


def finetune(
    base: Path,
    samples: Sequence[Record],
    output: Path,
    options: FinetuneOptions,
    *,
    device: str = "cpu",
    progress: Callable[[int, int, float], None] | None = None,
    checkpoint_every: int = 100,
) -> tuple[SetAside, ...]:
    """Fine-tune `base` on captioned pictures; each is learned with its record's first caption.

    Args:
        base: a diffusers folder of a kind in `detect.training.architecture`.
        samples: what to learn from.
        output: folder to create: `pytorch_lora_weights.safetensors` in it, or a whole pipeline for "full".
        options: how to train.
        device: where to train, as torch names it.
        progress: called after each step with (steps done, steps in all, loss).
        checkpoint_every: steps between checkpoints; a killed run resumes from the last one.

    Returns:
        Samples whose pictures cannot be read; the model learned from all others. `output` appears only when complete,
        and this list beside it (`set_aside_before`).

    Raises:
        InputError: if `output` exists, no picture can be read, or the run cannot go on.
        SuspectError: if `base` cannot be loaded.
    """
    _check(samples, output, options, checkpoint_every)
    trainer = Trainer(base, samples, options, device)
    partial = output.with_name(output.name + PARTIAL)
    run = _run_digest(base, trainer.latents.digest, options)
    first = _resume(trainer, partial, run)
    for step in range(first, options.steps):
        loss = trainer.step(step)
        if (step + 1) % checkpoint_every == 0 and step + 1 < options.steps:
            _save_checkpoint(trainer, partial, run, step + 1)
        if progress is not None:
            progress(step + 1, options.steps, loss)
    _publish(trainer, partial, output)
    return tuple(trainer.latents.set_aside)


def set_aside_before(output: Path) -> tuple[SetAside, ...]:
    """The samples that a finished fine-tuning could not read."""
    path = _set_aside_file(output)
    return tuple(SetAside(**row) for row in json.loads(path.read_bytes())) if path.exists() else ()


# --- the run on disk ------------------------------------------------------------------------------


def _check(samples: Sequence[Record], output: Path, options: FinetuneOptions, checkpoint_every: int) -> None:
    """Refuse what cannot be trained before anything is loaded."""
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise InputError(f"{output} already exists", "Give another output folder, or remove this one.")
    if not samples:
        raise InputError("no samples to train on", "Give at least one picture with its caption.")
    options.check()
    if checkpoint_every < 1:
        raise InputError(f"a checkpoint every {checkpoint_every} steps makes no sense", "Allowed: 1 or more.")


def _run_digest(base: Path, content: str, options: FinetuneOptions) -> str:
    """What a checkpoint belongs to: base, options, and what is learned, wherever it lies."""
    return sha256(canonical_json([folder_digest(base), asdict(options), content])).hexdigest()


def _save_checkpoint(trainer: Trainer, partial: Path, run: str, step: int) -> None:
    """Replace the checkpoint by the state after `step` steps, atomically."""
    partial.mkdir(parents=True, exist_ok=True)
    state = {
        "run": run,
        "step": step,
        "weights": trainer.weights(),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
    }
    torch.save(state, partial / "checkpoint.new")
    (partial / "checkpoint.new").replace(partial / "checkpoint.pt")


def _resume(trainer: Trainer, partial: Path, run: str) -> int:
    """Load the checkpoint if there is one; the step to go on from."""
    path = partial / "checkpoint.pt"
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["run"]
    except Exception as error:
        raise InputError(f"{path} cannot be read ({first_line(error)})", f"Remove {partial} to start again.") from error
    if found != run:
        raise InputError(
            f"{partial} holds an unfinished run with another base, other samples or other options",
            "Repeat that run's arguments to finish it, remove the folder, or give another output.",
        )
    for parameter, value in zip(trainer.parameters, state["weights"], strict=True):
        parameter.data.copy_(value)
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.scaler.load_state_dict(state["scaler"])
    return int(state["step"])


def _publish(trainer: Trainer, partial: Path, output: Path) -> None:
    """Write the result beside the checkpoint, rename it to `output`, and drop the rest."""
    result = partial / "result"
    shutil.rmtree(result, ignore_errors=True)
    result.mkdir(parents=True)
    with silenced_libraries():
        trainer.save(result)
    _strip_paths(result)
    _set_aside_file(output).unlink(missing_ok=True)
    if trainer.latents.set_aside:
        write_atomic(_set_aside_file(output), pretty_json([asdict(one) for one in trainer.latents.set_aside]))
    result.replace(output)
    shutil.rmtree(partial)


def _set_aside_file(output: Path) -> Path:
    return output.with_name(output.name + ".set-aside.json")


def _strip_paths(folder: Path) -> None:
    """Drop the local paths which the libraries write into configuration files."""
    for path in [folder / "model_index.json", *folder.glob("*/*config.json")]:
        if path.is_file():
            config = json.loads(path.read_text(encoding="utf-8"))
            if config.pop("_name_or_path", None) is not None:
                write_atomic(path, pretty_json(config))
