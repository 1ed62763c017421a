"""Command-line options that say how a release is made, shared by the commands that make, plan or rehearse one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from protect import marks
from protect.alignments import BUILT_IN
from protect.console import named_values
from protect.errors import InputError
from protect.release.plan import AUTO, Options


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
    float, typer.Option(parser=share, metavar="SHARE", help="Largest share of samples to mark, such as 0.02 or 2%.")
]
Family = Annotated[str, typer.Option(help=f"Mark family: {', '.join(marks.BUILT_IN)}.")]
AlignmentName = Annotated[
    str | None, typer.Option("--alignment", help=f"How triggers meet captions: {', '.join(BUILT_IN)}. {AUTO}")
]
FamilyOption = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="Family option; repeatable. `protect ls` lists them."),
]
Slots = Annotated[int | None, typer.Option(help="Independent marks. [carriers // 40, 1 to 8]")]
Passes = Annotated[
    float,
    typer.Option(help="How often a thief is expected to show a model each sample; with kohya: epochs times repeats."),
]
Method = Annotated[str, typer.Option(help="How a thief is expected to train: lora or full.")]
Name = Annotated[str | None, typer.Option(help="Name of the release. [the output's name]")]


def make_options(
    rate: float, family: str, alignment: str | None, option: Sequence[str] | None, slots: int | None
) -> Options:
    """The owner's decisions as given on the command line.

    Raises:
        InputError: if a family or one of its options does not exist.
    """
    given = marks.parse_options(family, named_values(option or []))
    return Options(rate=rate, family=family, alignment=alignment or "", family_options=given, slots=slots)


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
