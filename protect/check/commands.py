"""The command that tries families on the owner's own pictures before a release."""

from __future__ import annotations

from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protect import console, marks
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.reading import CaptionColumn, Exclude, LeaveCaptions, Only, Split, reading

if TYPE_CHECKING:
    from protect.check import FamilyCheck


def check_command(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder, tar or parquet file of captioned pictures.")],
    family: Annotated[list[str] | None, typer.Option(help="Family to check; repeatable. [all]")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="FAMILY.NAME=VALUE", help="Family option; repeatable.")
    ] = None,
    vae: Annotated[Path | None, typer.Option(help="Diffusers pipeline or VAE folder. [the miniature]")] = None,
    pictures: Annotated[int, typer.Option(help="Pictures to test each family on.")] = 40,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    only: Only = None,
    exclude: Exclude = None,
    split: Split = None,
    report: Annotated[Path, typer.Option(help="Page with pictures.")] = Path("check.html"),
    choices: Annotated[Path | None, typer.Option(help="Page on which people guess which picture is marked.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the throw-away key.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Before release: does each family's mark read back, survive re-encoding and a VAE, and how visible is it?

    Uses a throw-away key on pictures in memory; the dataset is not changed.
    """
    from protect.check import check
    from protect.check.page import write_choices, write_page
    from protect.miniature import miniature_path

    console.check_target("--report", report)
    if choices:
        console.check_target("--choices", choices, [report])
    given = console.named_values(option or [])
    names = family or [name for name in marks.families() if not _lacks_something(name, given)]
    opened = open_dataset(dataset, reading(caption_column, leave_captions, only, exclude, split))
    secret, store = secret_from_seed(seed, "check"), Keyring.default().store
    with console.progress() as progress:
        found = check(
            opened,
            names,
            marks.parse_options_of(names, given),
            vae or miniature_path(),
            secret,
            store,
            pictures=pictures,
            progress=progress,
        )
    write_page(report, found, dataset.absolute())
    if choices:
        write_choices(choices, found, secret)
    text = "\n".join(f"{c.family}: {c.verdict}" for c in found) + f"\nreport: {report}"
    console.answer(text, [_check_json(c) for c in found], as_json)
    return console.DONE


def _lacks_something(family: str, given: dict[str, str]) -> bool:
    """Whether a family needs a package that is not installed, or a store that was not named."""
    return {
        "rivagan": not find_spec("onnxruntime"),
        "scene": "scene.pool" not in given,
        "latent": "latent.basis" not in given,
    }.get(family, False)


def _check_json(found: FamilyCheck) -> dict[str, object]:
    row = {f.name: getattr(found, f.name) for f in fields(found) if f.name not in {"originals", "marked", "survivals"}}
    return row | {"survivals": [asdict(s) for s in found.survivals], "verdict": found.verdict}
