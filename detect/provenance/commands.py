"""Commands of `detect provenance`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect.provenance.options import (
    Classes,
    Control,
    Generator,
    Guidance,
    InputSize,
    Map,
    Model,
    Name,
    Normalisation,
    Normalise,
    Prompt,
    Report,
    Steps,
    Test,
    Train,
    VariantName,
    check_empty,
    say_written,
    suspect_of,
)
from detect.provenance.tags_command import tags_command
from detect.reports.place import checked_page, unused
from detect.shared_options import Device, Json, set_aside_lines, use_all_cores
from protect import console
from protect.embed.options import share
from protect.errors import InputError
from protect.files import default_cache

if TYPE_CHECKING:
    from detect.provenance.run import Materials
    from detect.provenance.settings import Settings
    from detect.provenance.source import Source

provenance_app = console.make_app("Was a classifier trained on my pictures, or on my generator's?")


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
    report: Report = None,
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
    page = checked_page(report, "provenance", [suspect or model])
    if dry_run:
        cost = settings.cost(len(control), len(names))
        text = f"would draw at most {cost['pictures']:,} pictures and train {cost['classifiers']} classifiers"
        console.answer(text, cost, as_json)
        return console.DONE
    use_all_cores()
    from detect.provenance.page import write_page
    from detect.provenance.run import judge

    asked = suspect_of(model, names, mapping, input_size, normalisation, device, suspect)
    materials = _materials(generator, control, names, settings, device)
    verdict = judge(materials, asked)
    page = unused(page, report)
    write_page(page, verdict, materials)
    text = "\n".join([*verdict.in_words(), *set_aside_lines(materials.set_aside), f"report: {page}"])
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
    check_empty(output)
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
    return say_written(output, written, [one for s in sets for one in s.set_aside], as_json)


provenance_app.command("tags")(tags_command)


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
