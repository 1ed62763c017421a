"""Options that the commands of `detect provenance` share, and what they do alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect.shared_options import set_aside_lines
from protect import console
from protect.errors import InputError
from protect.formats.record import SetAside

if TYPE_CHECKING:
    from detect.suspects.classifiers import Classifier


class VariantName(StrEnum):
    """What the paper's rule compares."""

    accuracy = "accuracy"
    entropy = "entropy"
    similarity = "similarity"


class Normalisation(StrEnum):
    """Of the input of a TorchScript, torch.export or ONNX suspect."""

    imagenet = "imagenet"
    half = "half"
    none = "none"


Generator = Annotated[Path, typer.Option(help="Your generator: a diffusers folder.")]
Classes = Annotated[Path, typer.Option(help="Text file, one class a line.")]
Control = Annotated[list[Path], typer.Option(help="Another generator, or class folders of pictures; give two or more.")]
Train = Annotated[int, typer.Option(help="Pictures per class to train shadow and references on.")]
Test = Annotated[int, typer.Option(help="Pictures per class to ask about.")]
MODEL = typer.Option(help="Suspect: transformers folder, .pt/.pt2/.onnx, .csv of answers, or address.")
Model = Annotated[str, MODEL]
Map = Annotated[Path | None, typer.Option("--map", help="CSV: the suspect's label, your class.")]
Name = Annotated[str, typer.Option(help="What a black box is called whose answers are given; always the same.")]
InputSize = Annotated[int, typer.Option(help="Input side of a .pt, .pt2 or .onnx suspect.")]
Normalise = Annotated[Normalisation, typer.Option(help="Input normalisation of such a suspect.")]
Report = Annotated[Path | None, typer.Option(help="HTML report. [called after the suspect; numbered if there is one]")]
Prompt = Annotated[str, typer.Option(help="Prompt with {c} for the class.")]
Steps = Annotated[int, typer.Option(min=1, help="Sampling steps.")]
Guidance = Annotated[float, typer.Option(help="Guidance scale.")]


def suspect_of(
    model: str,
    names: tuple[str, ...],
    mapping: Path | None,
    side: int,
    normalisation: Normalisation,
    device: str,
    name: str,
) -> Classifier:
    """The suspect that an option names; see `detect.suspects.classifiers.load_classifier`."""
    from detect.suspects.classifiers import load_classifier
    from detect.suspects.classifiers.classes import read_map
    from detect.suspects.classifiers.preprocessing import Preprocessing

    return load_classifier(
        model,
        names,
        mapping=read_map(mapping) if mapping else None,
        preprocessing=Preprocessing(side, normalisation.value),
        device=device,
        name=name,
    )


def say_written(folder: Path, count: int, set_aside: Sequence[SetAside], as_json: bool) -> int:
    """Say where the questions for a black box are; returns the exit code."""
    text = f"{count:,} pictures in {folder}; have the suspect name the class of each, and fill in answers.csv there"
    row = {"pictures": count, "table": str(folder / "answers.csv"), "set_aside": [asdict(one) for one in set_aside]}
    console.answer("\n".join([text, *set_aside_lines(set_aside)]), row, as_json)
    return console.SET_ASIDE if set_aside else console.DONE


def check_empty(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        InputError: naming it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty", "Give another folder; nothing is ever overwritten.")
