"""`protect commit`: a commitment before a public coin, dated, signed and made ready to publish."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from protect import console
from protect.embed.coins import what_coin_may_do
from protect.embed.commands import (
    Alpha,
    DatasetPlace,
    Decoys,
    Guidance,
    Json,
    Output,
    Queries,
    Steps,
    default_output,
)
from protect.embed.commit import commit
from protect.embed.date_commands import Certificate, Policy, authority_of, dated_json, sign_published
from protect.embed.dating import Authority, Dated, date_commitment
from protect.embed.expectation import Expectation
from protect.embed.options import (
    AlignmentName,
    Both,
    Family,
    FamilyOption,
    ForRecipients,
    Method,
    Name,
    Passes,
    Rate,
    Slots,
    Wordings,
    make_options,
)
from protect.embed.places import commitment_file
from protect.embed.publish import write_publication
from protect.embed.published import read_published
from protect.errors import InputError, TracemarkError
from protect.keys.coin import TIMESTAMP, comes_out, leaves_round_open, parse_coin, where_to_look
from protect.keys.keyring import Keyring
from protect.keys.signature import Signature
from protect.keys.tree import NO_COIN
from protect.reading import CaptionColumn, Exclude, LeaveCaptions, Only, Split, reading, spelt
from protect.release.plan import RECOMMENDED
from protect.release.record import Coin, Release
from protect.working import EngineName, LogJson, Workers, engine_of


def commit_command(
    dataset: DatasetPlace,
    coin_from: Annotated[
        str,
        typer.Option(
            metavar="COIN",
            help="Public coin that will enter the marks: drand (a round a day from now), drand quicknet:ROUND, "
            "timestamp (the authority's signature), or SOURCE:ROUND, which this program cannot check.",
        ),
    ],
    output: Output = None,
    rate: Rate = None,
    family: Family = "",
    alignment: AlignmentName = None,
    option: FamilyOption = None,
    wordings: Wordings = None,
    both: Both = False,
    slots: Slots = None,
    for_recipients: ForRecipients = False,
    queries: Queries = None,
    decoys: Decoys = RECOMMENDED.decoys,
    alpha: Alpha = RECOMMENDED.alpha,
    steps: Steps = RECOMMENDED.steps,
    guidance: Guidance = RECOMMENDED.guidance,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    only: Only = None,
    exclude: Exclude = None,
    split: Split = None,
    passes: Passes = 10.0,
    method: Method = "lora",
    name: Name = None,
    timestamp: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Timestamp authority (RFC 3161) that dates the commitment at once."),
    ] = None,
    authority_certificate: Certificate = None,
    policy: Policy = None,
    signed: Annotated[bool, typer.Option("--sign", help="Sign with your key (made on first use).")] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write what to publish, and a page that says where.")
    ] = False,
    workers: Workers = None,
    engine: EngineName = "local",
    log_json: LogJson = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Commit to a release that can hardly be found, too.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Commit to a secret and a plan now; a public coin that does not exist yet will enter the marks.

    Publish the commitment before the coin appears, then: protect embed DATASET --commitment ID --coin VALUE. Nobody can
    then say that you tried keys until one fitted. If this is stopped, or the commitment's file is lost, the same
    command writes the file again.
    """
    keyring = Keyring.default()
    authority = authority_of(timestamp, authority_certificate, policy)
    coin = _coin(coin_from, authority)
    made = make_options(rate, family, alignment, option, slots, keyring.store, wordings=wordings, both=both)
    options = replace(
        made,
        queries=queries,
        decoys=decoys,
        alpha=alpha,
        steps=steps,
        guidance=guidance,
        recipients=for_recipients,
    )
    target, expectation = output or default_output(dataset), Expectation(passes, method)
    expectation.check()
    said = reading(caption_column, leave_captions, only, exclude, split)
    before = {held.id for held in keyring.commitments()[0]}
    with console.progress(log_json) as progress:
        release = commit(
            dataset,
            target,
            options,
            keyring,
            coin,
            reading=said,
            name=name,
            any_round=leaves_round_open(coin_from),
            expectation=expectation,
            anyway=anyway,
            progress=progress,
            engine=engine_of(engine, workers),
        )
    place = commitment_file(target.resolve())
    dated = _dated(place, authority, keyring)
    signature = sign_published(read_published(place), keyring) if signed else None
    pages = write_publication(read_published(place), keyring) if publish else ()
    if dated and dated.coin:
        release = replace(release, coin=dated.coin)
    again = release.id in before
    repeated = [*spelt(said), *expectation.spelt(), *(["--anyway"] if anyway else [])]
    text = [
        *_committed_lines(release, place, pages[1] if pages else None, dated, again=again),
        *_next_lines(release, dataset, target, repeated),
        *what_coin_may_do(part.alignment for part in release.plan.parts),
    ]
    data = _committed_json(release, dated, signature, pages) | {"made_before": again}
    console.answer("\n".join(text), data, as_json)
    return console.DONE


def _coin(text: str, authority: Authority | None) -> Coin:
    if text.strip() != TIMESTAMP:
        return parse_coin(text)
    if authority is None:
        raise InputError(
            "--coin-from timestamp needs the authority", "Add --timestamp URL --authority-certificate FILE."
        )
    return authority.as_coin()


def _dated(place: Path, authority: Authority | None, keyring: Keyring) -> Dated | None:
    """The timestamp. The commitment stands if the authority fails."""
    if authority is None:
        return None
    try:
        return date_commitment(read_published(place), authority, keyring)
    except TracemarkError as error:
        again = ["protect", "timestamp", str(place), "--authority", authority.address]
        again += ["--authority-certificate", str(authority.source)]
        raise InputError(
            f"committed ({place}), but it got no timestamp: {error.what}", f"Repeat: {shlex.join(again)}"
        ) from None


def _committed_lines(
    release: Release, place: Path, page: Path | None, dated: Dated | None, *, again: bool
) -> list[str]:
    earlier = [
        f"  made before, on {release.created}: no key was drawn anew, and its file was written again",
        "  if you want another commitment to the same, give another --name",
    ]
    return [
        f"committed: {release.commitment}",
        *(earlier if again else []),
        *([f"  timestamp: {dated.stamp.in_words()}, kept in {dated.reply.name}"] if dated else []),
        f"  publish {place.name} where others can date it"
        + (f"; {page.name} says where" if page else " (add --publish for a page that says where)"),
    ]


def _next_lines(release: Release, dataset: Path, target: Path, repeated: list[str]) -> list[str]:
    """What comes next: the command that writes the copy, with all that it must repeat."""
    named = release.coin_named
    command = ["protect", "embed", str(dataset), "--output", str(target), *repeated, "--commitment", release.id]
    if named is None or release.coin != NO_COIN:
        return ["  its coin is known: publish it now, then write the copy:", f"  {shlex.join(command)}"]
    if named.source == TIMESTAMP:
        return [f"  its coin comes with its timestamp: protect timestamp {commitment_file(target)}"]
    out = comes_out(named)
    past = f"  that is past: if it was not published by then, retire it (protect retire {release.id}) and commit again"
    return [
        f"  publish it before the coin appears: {named.source}, round {named.round}"
        + (f", {out:%Y-%m-%d %H:%M:%S} UTC" if out else ""),
        *([past] if out and out <= datetime.now(UTC) else []),
        f"  then look the coin up ({where_to_look(named) or 'this program cannot check it'}):",
        f"  {shlex.join(command)} --coin VALUE",
    ]


def _committed_json(
    release: Release, dated: Dated | None, signature: Signature | None, pages: tuple[Path, ...] | tuple[()]
) -> dict[str, Any]:
    return {
        **release.public(),
        "timestamp": dated and dated_json(dated),
        "signer": signature and signature.public_key,
        "to_publish": [str(path) for path in pages],
    }
