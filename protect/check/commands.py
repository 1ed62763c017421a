"""The command `protect check`: it parses, calls and prints."""

from __future__ import annotations

from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protect import console, marks
from protect.buckets import place
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.reading import CaptionColumn, Exclude, LeaveCaptions, Only, Split, reading

if TYPE_CHECKING:
    from protect.check.result import Check, FamilyCheck

_LISTED = 10
"""Pictures set aside that are listed by name; --json lists all."""


def check_command(
    dataset: Annotated[
        Path, typer.Argument(parser=place, metavar="DATASET", help="Folder, tar or parquet file of captioned pictures.")
    ],
    family: Annotated[list[str] | None, typer.Option(help="Family to check; repeatable. [all]")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="FAMILY.NAME=VALUE", help="Family option; repeatable.")
    ] = None,
    vae: Annotated[Path | None, typer.Option(help="Diffusers pipeline or VAE folder. [the miniature]")] = None,
    pictures: Annotated[int, typer.Option(help="Pictures to test each family on.")] = 40,
    report: Annotated[Path, typer.Option(help="Page with pictures.")] = Path("check.html"),
    choices: Annotated[Path | None, typer.Option(help="Page on which people guess which picture is marked.")] = None,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    only: Only = None,
    exclude: Exclude = None,
    split: Split = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the throw-away key.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Before release: does each family's mark read back, survive re-encoding and a VAE, and how visible is it?

    Uses a throw-away key on pictures in memory; the dataset is not changed.
    """
    console.check_target("--report", report)
    if choices:
        console.check_target("--choices", choices, [report])
    given = console.named_values(option or [])
    names = family or _usable(given)
    options = marks.parse_options_of(names, given)
    chosen = reading(caption_column, leave_captions, only, exclude, split)
    opened, secret = open_dataset(dataset, chosen), secret_from_seed(seed, "check")
    from protect.check.page import write_choices, write_page
    from protect.check.run import check
    from protect.formats.survey import may_change
    from protect.miniature import miniature_path

    with console.progress() as progress:
        found = check(
            (record for record in opened.records() if may_change(record, chosen)),
            names,
            options,
            vae or miniature_path(),
            secret,
            store=Keyring.default().store,
            pictures=pictures,
            progress=progress,
        )
    write_page(report, found, dataset.absolute().name)
    if choices:
        write_choices(choices, found, secret)
    console.answer(_text(found, report), _json(found), as_json)
    return console.SET_ASIDE if found.set_aside else console.DONE


def _usable(given: dict[str, str]) -> list[str]:
    """All families that can be made with the options given and the packages installed."""
    lacking = {
        "rivagan": not find_spec("onnxruntime"),
        "scene": "scene.pool" not in given,
        "latent": "latent.basis" not in given,
    }
    return [name for name in marks.families() if not lacking.get(name)]


def _text(found: Check, report: Path) -> str:
    lines = [f"{c.family}: {c.verdict}{_refusal(c)}" for c in found.families]
    lines += [f"set aside: {one.key}: {one.reason}" for one in found.set_aside[:_LISTED]]
    if len(found.set_aside) > _LISTED:
        lines.append(f"… and {len(found.set_aside) - _LISTED} more set aside (--json lists all)")
    return "\n".join([*lines, f"report: {report}"])


def _refusal(found: FamilyCheck) -> str:
    if not found.measured or not found.refused:
        return ""
    return f" ({found.refused} of {found.refused + found.tested} pictures cannot carry it: {found.refusal})"


def _json(found: Check) -> dict[str, object]:
    return {
        "families": [_family_json(one) for one in found.families],
        "set_aside": [asdict(one) for one in found.set_aside],
    }


def _family_json(found: FamilyCheck) -> dict[str, object]:
    row = {f.name: getattr(found, f.name) for f in fields(found) if f.name not in {"looks", "survivals"}}
    return row | {"survivals": [asdict(s) for s in found.survivals], "verdict": found.verdict}
