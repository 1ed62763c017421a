"""Commands that read a copy back: the one for everybody, or a recipient's."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from protect import console
from protect.buckets import place
from protect.embed.answers import carrier_line, verification_text
from protect.embed.verify import verify
from protect.errors import InputError
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.reading import CaptionColumn, LeaveCaptions, reading
from protect.recipients.find import Found, release_and_recipient
from protect.working import EngineName, LogJson, Workers, engine_of

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Copy = Annotated[Path, typer.Argument(parser=place, metavar="COPY", help="Protected copy.")]


def verify_command(
    copy: Copy,
    release: Annotated[str | None, typer.Option(help="Release id or name. [found by what the copy holds]")] = None,
    recipient: Annotated[
        str | None, typer.Option(help="Number (3 or number:3) or name of a recipient. [found likewise]")
    ] = None,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    workers: Workers = None,
    engine: EngineName = "local",
    log_json: LogJson = False,
    as_json: Json = False,
) -> int:
    """Read every carrier back from disk and check its bytes, captions and mark; say whose copy it is."""
    keyring = Keyring.default()
    opened = open_dataset(copy, reading(caption_column, leave_captions, None, None, ["all"]))
    with console.progress(log_json) as progress:
        whose = release_and_recipient(opened, keyring, release, recipient, progress)
        found = verify(whose.bound, opened, progress=progress, engine=engine_of(engine, workers))
    record = whose.bound.release
    data = {"release": record.id, **_whose(whose), **asdict(found)}
    console.answer(verification_text(record, found, whose.in_words()), data, as_json)
    return console.SET_ASIDE if found.findings else console.DONE


def show_command(
    copy: Copy,
    original: Annotated[
        Path | None, typer.Option(parser=place, metavar="PATH", help="The dataset before, to show both side by side.")
    ] = None,
    release: Annotated[str | None, typer.Option(help="Release id or name. [found by what the copy holds]")] = None,
    recipient: Annotated[
        str | None, typer.Option(help="Number (3 or number:3) or name of a recipient. [found likewise]")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Page with the carriers. It is secret. [pages/<release>.html in the keyring]")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Most carriers on the page.")] = 40,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    as_json: Json = False,
) -> int:
    """List the carriers of a copy, and write a private page with them, before and after.

    Whoever sees the page can remove your marks: keep it with the keyring.
    """
    from protect.embed.show import carriers_shown, write_page

    said = reading(caption_column, leave_captions, None, None, ["all"])
    keyring, opened = Keyring.default(), open_dataset(copy, said)
    with console.progress() as progress:
        whose = release_and_recipient(opened, keyring, release, recipient, progress)
    bound, record = whose.bound, whose.bound.release
    page = report or keyring.folder("pages") / f"{'-'.join([record.id, *whose.number])}.html"
    console.check_target("--report", page)
    if any(page.resolve().is_relative_to(place.resolve()) for place in (copy, original) if place):
        raise InputError(f"the page {page} would lie in the dataset, and it is secret", "Give another --report.")
    with console.progress() as progress:
        shown = carriers_shown(bound, opened, open_dataset(original, said) if original else None, count, progress)
    write_page(page, record, shown)
    lines = [carrier_line(carrier) for carrier in record.carriers]
    named = ", ".join([f"release {record.id} ({record.name})", *filter(None, [whose.in_words()])])
    text = "\n".join([named, *lines, f"page: {page} (secret: it names the carriers)"])
    console.answer(
        text,
        {"release": record.id, **_whose(whose), "carriers": [asdict(c) for c in record.carriers]},
        as_json,
    )
    return console.DONE


def _whose(found: Found) -> dict[str, object]:
    """The recipient, and all who cannot be told apart."""
    return {"recipient": found.serial, "recipients": [serial for serial, _ in found.people]}
