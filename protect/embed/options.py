"""Command-line options that say how a release is made, shared by the commands that make, plan or rehearse one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from protect import marks
from protect.alignments import BUILT_IN, make_alignment
from protect.alignments.sites.draw import store_sites
from protect.alignments.sites.file import load_sites
from protect.console import named_values
from protect.errors import InputError
from protect.keys.store import NO_STORE, Store
from protect.marks.looks import stored_looks
from protect.release.plan import AUTO, SHADE, WORDING, Options, PartOptions, usual_part


def share(text: str | float) -> float:
    """A share written as a number or in per cent.

    >>> share("0.02"), share("2%"), share("2 %")
    (0.02, 0.02, 0.02)
    """
    if isinstance(text, float):
        return text
    number, percent, rest = text.strip().partition("%")
    try:
        if rest:
            raise ValueError
        return float(number) / (100 if percent else 1)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a share; write 0.02 or 2%") from None


Rate = Annotated[
    float | None,
    typer.Option(
        parser=share,
        metavar="SHARE",
        help="Largest share of samples that change, such as 0.02 or 2%. [lean 0.5, shade 0.6, others 0.02]",
    ),
]
Family = Annotated[
    str,
    typer.Option(
        help=f"Mark family: {', '.join(marks.BUILT_IN)}. [lean: no picture changes from --rate 0.2 on]",
        autocompletion=lambda: list(marks.BUILT_IN),
    ),
]
Both = Annotated[
    bool,
    typer.Option(
        "--both",
        help="Faint shades of the pictures besides, for captions written anew; no gain was measured. --rate, --slots "
        "and --option do not change these.",
    ),
]
Wordings = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Your own choices of words: two columns, CSV or TSV.")
]
AlignmentName = Annotated[
    str | None,
    typer.Option(
        "--alignment",
        help=f"How triggers meet captions: {', '.join(BUILT_IN)}. {AUTO}",
        autocompletion=lambda: list(BUILT_IN),
    ),
]
FamilyOption = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="Family option; repeatable. They stand below."),
]
ForRecipients = Annotated[
    bool, typer.Option("--for-recipients", help="No copy for all: everybody gets one of their own (protect issue).")
]
Slots = Annotated[int | None, typer.Option(help="Independent marks. [by alignment: 1 to 8]")]
Passes = Annotated[
    float,
    typer.Option(help="How often a thief is expected to show a model each sample; with kohya: epochs times repeats."),
]
Method = Annotated[str, typer.Option(help="How a thief is expected to train: lora or full.")]
Name = Annotated[str | None, typer.Option(help="Name of the release. [the output's name]")]


def make_options(
    rate: float | None,
    family: str,
    alignment: str | None,
    option: Sequence[str] | None,
    slots: int | None,
    store: Store,
    *,
    wordings: Path | None = None,
    both: bool = False,
) -> Options:
    """The owner's decisions as given on the command line, checked as far as that needs no dataset.

    Args:
        rate: largest share of samples that change.
        family: empty for the recommended one.
        alignment: likewise None.
        option: family options as NAME=VALUE.
        slots: independent marks.
        store: holds what options name, and the owner's choices of words; `NO_STORE`: stored arrays are not looked for.
        wordings: file of them.
        both: whether shades are planted besides.

    Raises:
        InputError: if a family or one of its options does not exist or is out of range, a stored array is missing, or
            the file cannot be used.
    """
    part = usual_part(rate, family or _usual_family(alignment), alignment or "")
    given = marks.parse_options(part.family, named_values(option or []))
    made = replace(part, family_options={**part.family_options, **given}, slots=slots)
    if both and part.family == SHADE.family:
        raise InputError("--both adds shades, and --family shade plants them already", "Leave --both out.")
    _check_family(made, store)
    if wordings is not None:
        if part.alignment != WORDING.alignment:
            raise InputError("--wordings is for --alignment wording", "Leave it out, or use --family lean.")
        made = replace(made, alignment_options={"wordings": store_sites(load_sites(wordings), store)})
    return Options.of(made, SHADE) if both else Options.of(made)


def _usual_family(alignment: str | None) -> str:
    """The family of an alignment whose owner names none, where it cannot be the recommended one; empty where it can.

    Class folders have no captions that a mark could live in.

    Raises:
        InputError: if there is no such alignment.
    """
    return PartOptions().family if alignment and make_alignment(alignment).for_classifiers else ""


def _check_family(part: PartOptions, store: Store) -> None:
    """Refuse options of a family before the dataset is read; without a store, only those that name nothing in one."""
    named = any(isinstance(value, str) and value for value in part.family_options.values())
    if named and store is NO_STORE:
        return
    marks.make_family(part.family, part.family_options, store)
    if looks := part.family_options.get("looks"):
        stored_looks(store, str(looks))


def refuse_given(context: typer.Context, names: Sequence[str], because: str) -> None:
    """Refuse options that were given although they are settled already.

    Raises:
        InputError: naming them.
    """
    given = []
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            given.append("--" + name.replace("_", "-"))
    if given:
        raise InputError(f"{', '.join(given)} cannot be given: {because}", "Leave them out.")
