"""Suspects in local files: how commands open them, and what is told about them. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect.suspects.images import is_pipeline, load_suspect
from detect.suspects.images.settings import Offload, Precision
from detect.suspects.images.suspect import Sampler, Suspect
from protect.errors import InputError

if TYPE_CHECKING:
    from detect.reports.report import Box
    from detect.trial.verdict import Verdict

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Suspect: a diffusers folder, a hub's cache, a checkpoint or LoRA (with --base), or the address of a "
        "service; again for further adapters.",
    ),
]
Scales = Annotated[
    list[float] | None, typer.Option("--scale", help="Strength of the adapters: one for all, or again for each. [1]")
]
Dtype = Annotated[
    Precision, typer.Option(help="Precision of the weights; auto is float32 on CPUs, 16 bits on accelerators.")
]
OffloadTo = Annotated[Offload, typer.Option("--offload", help="What waits in main memory while it draws.")]
Batch = Annotated[int | None, typer.Option(min=1, max=256, help="Pictures drawn together. [by the device's memory]")]
PipelineOnly = Annotated[
    bool, typer.Option("--pipeline-only", help="Test a pipeline without other weights in its folder; they are named.")
]


@dataclass(frozen=True, slots=True)
class LoadingOptions:
    """What a command was told about loading models."""

    device: str = "cpu"
    allow_pickle: bool = False
    scales: tuple[float, ...] = ()
    dtype: Precision = Precision.auto
    offload: Offload = Offload.none
    batch: int | None = None
    alone: bool = False

    def load(self, models: Sequence[Path], base: Path | None) -> Suspect:
        """The suspect that several paths make (see `load_suspect`)."""
        return load_suspect(
            models,
            base=base,
            device=self.device,
            allow_pickle=self.allow_pickle,
            scales=self.scales,
            dtype=self.dtype,
            offload=self.offload,
            batch=self.batch,
            alone=self.alone,
        )

    def load_other(self, path: Path, base: Path | None) -> Suspect:
        """A control or a reference: alone on the same base, at full strength, in the same precision."""
        return load_suspect(
            path,
            base=None if is_pipeline(path) else base,
            device=self.device,
            allow_pickle=self.allow_pickle,
            dtype=self.dtype,
            offload=self.offload,
            batch=self.batch,
            alone=True,
        )


def split_models(models: Sequence[str] | None, address: bool) -> tuple[str, list[Path]]:
    """The first of several `--model`s, and all of them as paths.

    Args:
        models: as they were given.
        address: whether any is a service's.

    Raises:
        InputError: if a service is given with others.
    """
    given = list(models or [])
    if address and len(given) > 1:
        raise InputError("a service is a suspect by itself", "Give --model URL once.")
    return (given[0] if given else ""), [] if address else [Path(model) for model in given]


def remarks(suspect: Suspect, samplers: Sequence[Sampler]) -> list[str]:
    """What must be said of how a suspect was opened, and of samplers that do not suit it."""
    notes = list(getattr(suspect, "notes", ()))
    proposal = getattr(suspect, "proposal", None)
    if proposal is not None:
        notes += list(dict.fromkeys(text for sampler in samplers if (text := proposal.against(sampler))))
    return notes


def boxes(suspect: Suspect, notes: Sequence[str], verdicts: Sequence[Verdict]) -> list[Box]:
    """For the report: how the suspect was opened, and what its adapters say of themselves."""
    from detect.reports.report import Box

    read = ", ".join(f"{name} {count}" for name, count in getattr(suspect, "windows", {}).items())
    rows = [("note", note) for note in notes] + ([("tokens read at most", read)] if read else [])
    found = [Box("How the suspect was opened", "", rows)]
    triggers = list(dict.fromkeys(slot.trigger for verdict in verdicts for slot in verdict.slots))
    for name, header in getattr(suspect, "headers", ()):
        counts = [(f"captions with “{trigger}”", str(n)) for trigger in triggers if (n := header.count(trigger))]
        text = (
            "Its maker, or whoever passed it on, wrote this into the file and could have written anything. "
            "It may corroborate; no number on this page depends on it."
        )
        found.append(Box(f"What {name} says of itself", text, header.rows() + counts))
    return found
