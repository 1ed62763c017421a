"""`detect provenance tags`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detect.provenance.options import (
    MODEL,
    InputSize,
    Map,
    Name,
    Normalisation,
    Normalise,
    Report,
    check_empty,
    say_written,
    suspect_of,
)
from detect.reports.place import checked_page, unused
from detect.shared_options import Anew, Device, Json, chosen_releases, set_aside_lines, use_all_cores
from protect import console
from protect.errors import InputError
from protect.files import default_cache
from protect.keys.keyring import Keyring
from protect.reading import CaptionColumn, Exclude, LeaveCaptions, Only, Split, reading


def tags_command(
    dataset: Annotated[Path, typer.Option(help="The class folders that were marked, as they were before.")],
    model: Annotated[str | None, MODEL] = None,
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
    report: Report = None,
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
    if model is None and queries is None:
        raise InputError("no suspect was given", "Give --model, or have its questions written: --queries FOLDER.")
    page = checked_page(report, "tags", [suspect or model or ""])
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
    if queries is not None:
        check_empty(queries)
        return say_written(queries, *written_questions(queries, bound, original), as_json)
    use_all_cores()
    assert model is not None  # seen above
    asked = suspect_of(model, original.classes, mapping, input_size, normalisation, device, suspect)
    other = suspect_of(control, original.classes, mapping, input_size, normalisation, device, "") if control else None
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
    page = unused(page, report)
    write_report(
        page,
        "Was this classifier trained on my marked pictures?",
        f"{len(found)} release(s) tested on {model}.",
        [Section(f"Release {v.release.name}", v) for v in found],
    )
    set_aside = list(dict.fromkeys(one for verdict in found for one in verdict.set_aside))
    text = [*map(summary, found), *set_aside_lines(set_aside), f"report: {page}"]
    data = [v.as_json() for v in found]
    console.answer("\n".join(text), data[0] if len(data) == 1 else data, as_json)
    return console.verdict_code([v.outcome for v in found]) if exit_code else console.DONE
