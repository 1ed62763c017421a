"""`protect issue` and `protect recipients`: who gets a copy, and who has one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import typer

from protect import console
from protect.embed.places import commitment_file
from protect.errors import InputError, ReleaseError
from protect.keys.keyring import Keyring
from protect.recipients.entry import Entry, Recipient
from protect.recipients.ledger import Ledger, open_ledger
from protect.recipients.materialise import Copy, materialise
from protect.recipients.overlay import check_for_recipients
from protect.recipients.table import ENDINGS, entries_in, recipients_in, write_table
from protect.release.record import Release
from protect.working import EngineName, LogJson, Workers, engine_of

recipients_app = console.make_app("Who has which copy: list, take out and in, end a licence.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ReleaseName = Annotated[str, typer.Argument(metavar="RELEASE", help="Release for recipients, by id or name.")]
LISTED = 100
"""Recipients of a release that `ls` prints."""


def issue_command(
    release: ReleaseName,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|NAME", help="Who gets a copy: a table (name, terms, contact), or a name; repeatable."
        ),
    ] = None,
    terms: Annotated[str, typer.Option(help="Terms of those named by --to.")] = "",
    contact: Annotated[str, typer.Option(help="Contact of those named by --to.")] = "",
    again: Annotated[bool, typer.Option("--again", help="A further copy for those who have one.")] = False,
    write: Annotated[
        str | None,
        typer.Option(
            "--materialise", metavar="RECIPIENT", help="Write the copy of this number (3 or number:3) or name."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where it is written.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="The dataset, if it was moved.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Hard-link files that do not change.")] = False,
    workers: Workers = None,
    engine: EngineName = "local",
    log_json: LogJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all and say what would be done.")] = False,
    as_json: Json = False,
) -> int:
    """Give copies of RELEASE to recipients, each with marks of its own; or write one of the copies.

    Entering a recipient takes no time: a copy follows from the keyring, and is written when it is wanted. Make the
    release for recipients beforehand: protect embed DATASET --for-recipients.
    """
    keyring = Keyring.default()
    record = keyring.load(release)
    check_for_recipients(record)
    if bool(to) == bool(write):
        raise InputError("give either --to or --materialise", "First enter recipients with --to, then write copies.")
    if to:
        _refuse(("--output", output), ("--dataset", dataset), ("--link", link), because="nothing is written")
        return _enter(record, to, Entry("", terms, contact), keyring, as_json, again=again, dry_run=dry_run)
    _refuse(("--terms", terms), ("--contact", contact), ("--again", again), because="the recipient is entered already")
    assert write is not None
    if output is None:
        raise InputError("--materialise needs --output", "Say where the copy goes: -o FOLDER.")
    with open_ledger(keyring) as ledger:
        recipient = ledger.one(record.id, write)
    with console.progress(log_json) as progress:
        copy = materialise(
            record,
            recipient,
            output,
            keyring,
            engine=engine_of(engine, workers),
            dataset=dataset,
            link=link,
            dry_run=dry_run,
            progress=progress,
        )
    console.answer(_copy_text(copy, dry_run), _copy_json(copy, dry_run), as_json)
    return console.DONE


def _refuse(*given: tuple[str, object], because: str) -> None:
    if names := [name for name, value in given if value]:
        raise InputError(f"{', '.join(names)} cannot be given: {because}", "Leave them out.")


def _enter(
    release: Release, to: Sequence[str], like: Entry, keyring: Keyring, as_json: bool, *, again: bool, dry_run: bool
) -> int:
    asked = chain.from_iterable(_asked(text, like) for text in to)
    with open_ledger(keyring) as ledger, console.progress() as progress:
        given = ledger.issue(release, asked, again=again, dry_run=dry_run, progress=progress)
        issued, lost = ledger.issued(release.id), ledger.lost(release.id)
    if not given:
        raise InputError(f"{', '.join(to)}: no recipient in it", "Write one row for each, after the names of columns.")
    first, last = given[0], given[-1]
    numbers = f"number {first}" if first == last else f"numbers {first} to {last}"
    lines = [
        f"{'would enter' if dry_run else 'entered'} {len(given)} recipient(s) of release {release.id} "
        f"({release.name}): {numbers}",
        *_lost_line(lost, "  "),
        *([] if dry_run else [f"  write a copy: protect issue {release.id} --materialise {first} -o FOLDER"]),
    ]
    data = {"release": release.id, "dry_run": dry_run, "first": first, "last": last, "issued": issued, "lost": lost}
    console.answer("\n".join(lines), data, as_json)
    return console.DONE


def _asked(text: str, like: Entry) -> Iterator[tuple[str, Entry]]:
    """Who is meant by one --to."""
    if Path(text).suffix.lower() in ENDINGS:
        if like.terms or like.contact:
            raise InputError(f"--terms and --contact are for names, and {text} is a file", "Write them into the file.")
        return entries_in(Path(text))
    return iter([(f"--to {text!r}", Entry(text, like.terms, like.contact))])


def _copy_text(copy: Copy, dry_run: bool) -> str:
    return "\n".join(
        [
            f"{'would write' if dry_run else 'done:'} {copy.output}, the copy of {copy.recipient.in_words()}",
            f"  release {copy.release.id} ({copy.release.name}); {copy.changed} samples differ, "
            f"{copy.painted or 'no'} picture(s) among them; {copy.bytes / 1e6:,.1f} MB",
            f"  {commitment_file(copy.output).name} goes with it: it holds no name, and binds you to this recipient",
        ]
    )


def _copy_json(copy: Copy, dry_run: bool) -> dict[str, object]:
    return {
        "output": str(copy.output),
        "dry_run": dry_run,
        "release": copy.release.id,
        "recipient": copy.recipient.serial,
        "commitment": copy.recipient.commitment,
        "digest": copy.recipient.digest,
        "changed": copy.changed,
        "painted": copy.painted,
        "bytes": copy.bytes,
    }


@recipients_app.command("ls")
def ls_command(
    release: Annotated[str | None, typer.Argument(metavar="RELEASE", help="Only of this one. [all]")] = None,
    as_json: Json = False,
) -> int:
    """List recipients. The list is secret."""
    keyring = Keyring.default()
    held = [release_for_recipients(keyring, release)] if release else keyring.survey()[0]
    with open_ledger(keyring) as ledger:
        rows = [_counted(ledger, one) for one in held if one.plan.recipients]
    lines = [line for row, found in rows for line in _lines(row, found)]
    listed = [row | {"recipients": [asdict(recipient) for recipient in found]} for row, found in rows]
    console.answer("\n".join(lines) or f"no release for recipients in {keyring.home}", listed, as_json)
    return console.DONE


def release_for_recipients(keyring: Keyring, name: str) -> Release:
    """The release of that id or name.

    Raises:
        InputError: if it was not made for recipients.
    """
    found = keyring.load(name)
    check_for_recipients(found)
    return found


def _counted(ledger: Ledger, release: Release) -> tuple[dict[str, object], list[Recipient]]:
    row: dict[str, object] = {
        "release": release.id,
        "name": release.name,
        "issued": ledger.issued(release.id),
        "revoked": ledger.revoked(release.id),
        "lost": ledger.lost(release.id),
    }
    return row, list(islice(ledger.recipients(release.id), LISTED))


def _lines(row: dict[str, object], found: Sequence[Recipient]) -> Iterator[str]:
    yield f"{row['release']} ({row['name']}): {row['issued']} recipient(s), {row['revoked']} revoked"
    yield from _lost_line(int(str(row["lost"])), "  ")
    for one in found:
        ended = f"; revoked {one.revoked}: {one.why}" if one.revoked else ""
        yield f"  {one.serial:>6}  {one.issued}  {'written' if one.digest else '       '}  {one.name}{ended}"
    more = int(str(row["issued"])) - int(str(row["lost"])) - len(found)
    if more > 0:
        yield f"  … and {more:,} more: protect recipients export"


def _lost_line(lost: int, indent: str) -> list[str]:
    wanted = f"{indent}{lost} recipient(s) are not in the ledger: restore a backup (protect recipients import FILE)"
    return [wanted] if lost else []


@recipients_app.command("export")
def export_command(
    output: Annotated[Path, typer.Option("--output", "-o", help=f"File to write: {' or '.join(ENDINGS)}.")],
    release: Annotated[str | None, typer.Option(help="Only of this release. [all]")] = None,
    as_json: Json = False,
) -> int:
    """Write the ledger to a file that only you can read. Keep it as a backup; it holds names."""
    keyring = Keyring.default()
    console.check_target("--output", output, page=False)
    only = release_for_recipients(keyring, release).id if release else None
    with open_ledger(keyring) as ledger:
        count = write_table(output, ledger.recipients(only))
    console.answer(f"{count} recipient(s) written to {output}", {"output": str(output), "recipients": count}, as_json)
    return console.DONE


@recipients_app.command("import")
def import_command(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="What `protect recipients export` wrote.")],
    as_json: Json = False,
) -> int:
    """Take lines of an export into the ledger: those that are lacking, and what others lack."""
    keyring = Keyring.default()
    releases = {release.id: release for release in (*keyring.survey()[0], *keyring.retired())}
    with open_ledger(keyring) as ledger, console.progress() as progress:
        new = ledger.add(recipients_in(table), releases, progress)
    console.answer(f"{new} recipient(s) were new", {"new": new}, as_json)
    return console.DONE


@recipients_app.command("revoke")
def revoke_command(
    release: ReleaseName,
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="Number (3 or number:3) or name.")],
    why: Annotated[str, typer.Option(help="Why the licence ends.")],
    as_json: Json = False,
) -> int:
    """Note that a licence ended. The copy is still looked for in suspects."""
    keyring = Keyring.default()
    record = release_for_recipients(keyring, release)
    if not why.strip():
        raise ReleaseError("--why is empty", "Say why the licence ends: you may have to tell somebody later.")
    with open_ledger(keyring) as ledger:
        ended = ledger.revoke(ledger.one(record.id, recipient), why)
    console.answer(f"revoked {ended.in_words()} of release {record.id}: {why}", asdict(ended), as_json)
    return console.DONE
