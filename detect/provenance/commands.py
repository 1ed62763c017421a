"""Commands of `detect provenance`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect.commands import Anew, Device, Json, chosen_releases, set_aside_lines, use_all_cores
from protect import console
from protect.embed.options import share
from protect.errors import InputError
from protect.files import default_cache
from protect.formats.record import SetAside
from protect.keys.keyring import Keyring
from protect.reading import CaptionColumn, Exclude, LeaveCaptions, Only, Split, reading

if TYPE_CHECKING:
    from detect.provenance.run import Materials
    from detect.provenance.settings import Settings
    from detect.provenance.source import Source
    from detect.suspects.classifiers import Classifier

provenance_app = console.make_app("Was a classifier trained on my pictures, or on my generator's?")


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
Model = Annotated[str, typer.Option(help="Suspect: transformers folder, .pt/.pt2/.onnx, .csv of answers, or address.")]
Map = Annotated[Path | None, typer.Option("--map", help="CSV: the suspect's label, your class.")]
Name = Annotated[str, typer.Option(help="What a black box is called whose answers are given; always the same.")]
InputSize = Annotated[int, typer.Option(help="Input side of a .pt, .pt2 or .onnx suspect.")]
Normalise = Annotated[Normalisation, typer.Option(help="Input normalisation of such a suspect.")]
Report = Annotated[Path, typer.Option(help="HTML report.")]
Prompt = Annotated[str, typer.Option(help="Prompt with {c} for the class.")]
Steps = Annotated[int, typer.Option(min=1, help="Sampling steps.")]
Guidance = Annotated[float, typer.Option(help="Guidance scale.")]


@provenance_app.command("run")
def run_command(
    model: Model,
    generator: Generator,
    classes: Classes,
    control: Control,
    mapping: Map = None,
    suspect: Name = "",
    train_per_class: Train = 300,
    test_per_class: Test = 500,
    shadow_prompt: Prompt = "a {c}",
    test_prompt: Prompt = "a photo of a {c}",
    steps: Steps = 20,
    guidance: Guidance = 3.0,
    architecture: Annotated[str, typer.Option(help="Of the shadow.")] = "resnet18",
    epochs: Annotated[int, typer.Option(help="Of shadow and references.")] = 30,
    side: Annotated[int, typer.Option(help="Input side of shadow and references.")] = 32,
    references: Annotated[int, typer.Option(help="Reference classifiers for each control: n allow 1/(n + 1).")] = 19,
    variant: Annotated[VariantName, typer.Option(help="Of the paper's rule.")] = VariantName.accuracy,
    batch: Annotated[int, typer.Option(help="Pictures per batch of the paper's rule.")] = 128,
    alpha: Annotated[float, typer.Option(parser=share, metavar="SHARE", help="Level of panel_p, such as 5%.")] = 0.05,
    input_size: InputSize = 224,
    normalisation: Normalise = Normalisation.imagenet,
    report: Report = Path("provenance.html"),
    device: Device = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would draw and train.")] = False,
    as_json: Json = False,
) -> int:
    """Was the suspect trained on my generator's pictures? The paper's rule (TrainProVe), and our panel beside it.

    Passive: nothing was planted, so neither is exact. Where you can act beforehand, mark a share of the pictures
    (protect embed --alignment label) and use: detect provenance tags.
    """
    from detect.provenance.settings import Settings
    from detect.provenance.training import Recipe
    from detect.suspects.classifiers.classes import read_classes
    from detect.suspects.images import Sampler

    names = read_classes(classes)
    settings = Settings(
        train_per_class,
        test_per_class,
        shadow_prompt,
        test_prompt,
        Sampler(steps=steps, guidance=guidance),
        Recipe(architecture, epochs=epochs, side=side),
        references,
        variant.value,
        batch,
        alpha,
    )
    settings.check(len(control), len(names))
    console.check_target("--report", report)
    if dry_run:
        cost = settings.cost(len(control), len(names))
        text = f"would draw at most {cost['pictures']:,} pictures and train {cost['classifiers']} classifiers"
        console.answer(text, cost, as_json)
        return console.DONE
    use_all_cores()
    from detect.provenance.page import write_page
    from detect.provenance.run import judge

    asked = _suspect(model, names, mapping, input_size, normalisation, device, suspect)
    materials = _materials(generator, control, names, settings, device)
    verdict = judge(materials, asked)
    write_page(report, verdict, materials)
    text = "\n".join([*verdict.in_words(), *set_aside_lines(materials.set_aside), f"report: {report}"])
    console.answer(text, verdict.as_json(), as_json)
    return console.SET_ASIDE if materials.set_aside else console.DONE


@provenance_app.command("plan")
def plan_command(
    generator: Generator,
    classes: Classes,
    control: Control,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the query set.")],
    test_per_class: Test = 500,
    test_prompt: Prompt = "a photo of a {c}",
    steps: Steps = 20,
    guidance: Guidance = 3.0,
    train_per_class: Train = 300,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many pictures it would write.")] = False,
    device: Device = "cpu",
    as_json: Json = False,
) -> int:
    """Write the pictures for a black box that somebody else will ask, and the table for its answers.

    Give the filled table to `detect provenance run --model answers.csv` with the same options.
    """
    from detect.provenance.settings import Settings
    from detect.suspects.classifiers.classes import read_classes
    from detect.suspects.images import Sampler

    names = read_classes(classes)
    sampler = Sampler(steps=steps, guidance=guidance)
    settings = Settings(
        train_per_class=train_per_class,
        test_per_class=test_per_class,
        test_prompt=test_prompt,
        sampler=sampler,
        batch=2,
    )
    settings.check(len(control), len(names))
    _check_empty(output)
    count = test_per_class * len(names) * (1 + len(control))
    if dry_run:
        console.answer(f"would write {count:,} pictures to {output}", {"pictures": count}, as_json)
        return console.DONE
    use_all_cores()
    from detect.suspects.classifiers.answers import write_queries

    own, others = _sources(generator, control, device)
    cache = default_cache()
    with console.progress() as progress:
        first = own.test_set(names, settings, cache, None, progress)
        sets = [first, *(o.test_set(names, settings, cache, first.pictures.shape[1], progress) for o in others)]
    written = write_queries(output, [picture for s in sets for picture in s.pictures], names)
    return _say_written(output, written, [one for s in sets for one in s.set_aside], as_json)


@provenance_app.command("tags")
def tags_command(
    model: Model,
    dataset: Annotated[Path, typer.Option(help="The class folders that were marked, as they were before.")],
    release: Annotated[str | None, typer.Option(help="Only this release, by id or name. [all for classifiers]")] = None,
    mapping: Map = None,
    suspect: Name = "",
    control: Annotated[
        str | None, typer.Option(help="Classifier that cannot have seen the release: a folder, file or address.")
    ] = None,
    queries: Annotated[Path | None, typer.Option(help="Write the questions for a black box here, and stop.")] = None,
    input_size: InputSize = 224,
    normalisation: Normalise = Normalisation.imagenet,
    anew: Anew = False,
    report: Report = Path("tags.html"),
    device: Device = "cpu",
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 3 on evidence, 4 if inconclusive.")] = False,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    only: Only = None,
    exclude: Exclude = None,
    split: Split = None,
    as_json: Json = False,
) -> int:
    """Was the suspect trained on my marked pictures? Exact: the key drew the classes.

    For copies made with protect embed --alignment label.
    Labels alone suffice. A black box: write the questions with --queries, then give the filled answers.csv as --model.
    """
    keyring = Keyring.default()
    releases = chosen_releases(keyring, release, for_classifiers=True)
    console.check_target("--report", report)
    from detect.provenance.tag_questions import open_original, written_questions
    from detect.provenance.tags import detect_tags
    from detect.reports.report import Section, write_report
    from detect.reports.words import summary
    from protect.release.bound import bind

    original = open_original(dataset, reading(caption_column, leave_captions, only, exclude, split))
    fitting = [r for r in releases if release or r.plan.dataset == original.digest]
    if not fitting:
        raise InputError(f"no release in {keyring.home} was made from {dataset}", "Give the unmarked original.")
    bound = [bind(r, keyring.store) for r in fitting]
    if queries:
        _check_empty(queries)
        return _say_written(queries, *written_questions(queries, bound, original), as_json)
    use_all_cores()
    asked = _suspect(model, original.classes, mapping, input_size, normalisation, device, suspect)
    other = _suspect(control, original.classes, mapping, input_size, normalisation, device, "") if control else None
    with console.progress() as progress:
        found = [
            detect_tags(
                one,
                asked,
                original,
                keyring,
                default_cache(),
                releases=fitting,
                control=other,
                anew=anew,
                progress=progress,
            )
            for one in bound
        ]
    write_report(
        report,
        "Was this classifier trained on my marked pictures?",
        f"{len(found)} release(s) tested on {model}.",
        [Section(f"Release {v.release.name}", v) for v in found],
    )
    set_aside = list(dict.fromkeys(one for verdict in found for one in verdict.set_aside))
    text = [*map(summary, found), *set_aside_lines(set_aside), f"report: {report}"]
    data = [v.as_json() for v in found]
    console.answer("\n".join(text), data[0] if len(data) == 1 else data, as_json)
    return console.verdict_code([v.outcome for v in found]) if exit_code else console.DONE


def _sources(generator: Path, control: list[Path], device: str) -> tuple[Source, list[Source]]:
    """The owner's generator and the controls, which must all differ.

    Raises:
        InputError: if two are the same.
    """
    places = [path.resolve() for path in (generator, *control)]
    if doubled := [path for path in places if places.count(path) > 1]:
        raise InputError(f"{doubled[0]} is given twice", "Controls must differ from the generator and each other.")
    from detect.provenance.source import Source
    from detect.suspects.images import is_pipeline, load_suspect

    others = [
        Source(c.name, load_suspect(c, device=device)) if is_pipeline(c) else Source(c.name, folder=c) for c in control
    ]
    return Source(generator.name, load_suspect(generator, device=device)), others


def _materials(
    generator: Path, control: list[Path], names: tuple[str, ...], settings: Settings, device: str
) -> Materials:
    from detect.provenance.run import prepare

    own, others = _sources(generator, control, device)
    with console.progress() as progress:
        return prepare(own, others, names, settings, default_cache(), device=device, progress=progress)


def _suspect(
    model: str,
    names: tuple[str, ...],
    mapping: Path | None,
    side: int,
    normalisation: Normalisation,
    device: str,
    name: str,
) -> Classifier:
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


def _say_written(folder: Path, count: int, set_aside: Sequence[SetAside], as_json: bool) -> int:
    text = f"{count:,} pictures in {folder}; have the suspect name the class of each, and fill in answers.csv there"
    row = {"pictures": count, "table": str(folder / "answers.csv"), "set_aside": [asdict(one) for one in set_aside]}
    console.answer("\n".join([text, *set_aside_lines(set_aside)]), row, as_json)
    return console.SET_ASIDE if set_aside else console.DONE


def _check_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty", "Give another folder; nothing is ever overwritten.")
