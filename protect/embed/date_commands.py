"""Commands on commitments that exist: have one dated, sign it, say what to publish, check somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from protect import console
from protect.embed.commands import Json
from protect.embed.dating import Authority, Dated, date_commitment
from protect.embed.publish import write_publication
from protect.embed.published import Published, check_published, read_bytes, read_published
from protect.errors import InputError
from protect.files import write_atomic
from protect.keys.keyring import Keyring
from protect.keys.signature import Signature, public_key_pem, read_public_key, sign
from protect.keys.timestamp import read_certificates

CommitmentPlace = Annotated[
    Path, typer.Argument(metavar="COMMITMENT", help="The file beside a copy that ends in .commitment.json.")
]
Certificate = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Root certificate of the timestamp authority, PEM or DER.")
]
Policy = Annotated[str | None, typer.Option(metavar="OID", help="Policy that the authority must name. [any]")]


def authority_of(address: str | None, certificate: Path | None, policy: str | None) -> Authority | None:
    """The authority that options name; None if they name none.

    Raises:
        InputError: if they do not go together, or its certificate cannot be read.
    """
    if address is None:
        if certificate or policy:
            raise InputError("--authority-certificate and --policy belong to an authority", "Add --timestamp URL.")
        return None
    if certificate is None:
        raise InputError(
            f"without its root certificate, replies of {address} cannot be checked",
            "Add --authority-certificate FILE: the authority offers it on its website.",
        )
    return Authority.of(address, certificate, policy)


def sign_published(published: Published, keyring: Keyring) -> Signature:
    """Sign a commitment with the owner's key; the signature lies beside it then."""
    signature = sign(keyring, "commitment", published.data)
    write_atomic(published.signature_file, signature.to_json())
    return signature


def dated_json(dated: Dated) -> dict[str, Any]:
    """A timestamp for programs."""
    return {
        "time": dated.stamp.time.isoformat(),
        "authority": dated.stamp.authority,
        "root": dated.stamp.root,
        "serial": dated.stamp.serial,
        "policy": dated.stamp.policy,
        "reply": str(dated.reply),
        "coin": dated.coin or None,
    }


def timestamp_command(
    commitment: CommitmentPlace,
    authority: Annotated[str, typer.Option(metavar="URL", help="Timestamp authority (RFC 3161).")],
    authority_certificate: Certificate = None,
    policy: Policy = None,
    as_json: Json = False,
) -> int:
    """Have a commitment dated by a timestamp authority; its reply is kept beside it, in a .tsr file.

    Only a hash of the commitment is sent. If the commitment's coin comes with its timestamp, this draws it. Once the
    questions are known that follow a coin, their digest is dated with it: do so before you ask a suspect anything.
    """
    made = authority_of(authority, authority_certificate, policy)
    assert made is not None
    dated = date_commitment(read_published(commitment), made, Keyring.default())
    lines = [f"timestamp: {dated.stamp.in_words()}", f"  kept in {dated.reply}: publish it with the commitment"]
    if dated.coin:
        lines.append(f"  it gave the coin: {dated.coin}; publish the commitment again")
    console.answer("\n".join(lines), dated_json(dated), as_json)
    return console.DONE


def sign_command(commitment: CommitmentPlace, as_json: Json = False) -> int:
    """Sign a commitment with your key, which is made on first use; the signature lies beside it, in a .sig file."""
    published = read_published(commitment)
    signature = sign_published(published, Keyring.default())
    text = f"signed with the key {signature.public_key}\n  {published.signature_file}: publish it with the commitment"
    console.answer(text, {"signer": signature.public_key, "signature": str(published.signature_file)}, as_json)
    return console.DONE


def signing_key_command(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="PEM file to write. [printed]")] = None,
) -> int:
    """Print the public half of your signing key, for others to check your signatures with."""
    pem = public_key_pem(Keyring.default())
    if output is None:
        console.answer(pem.decode().rstrip(), None, as_json=False)
    else:
        write_atomic(output, pem)
    return console.DONE


def publish_command(commitment: CommitmentPlace, as_json: Json = False) -> int:
    """Write a text to publish beside a commitment, and a page that says in plain words where and why."""
    text, page = write_publication(read_published(commitment), Keyring.default())
    console.answer(f"publish {text.name}\n  {page} says where and why", {"text": str(text), "page": str(page)}, as_json)
    return console.DONE


def verify_commitment_command(
    commitment: CommitmentPlace,
    authority_certificate: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Root certificate of a timestamp authority that you trust; repeatable."),
    ] = None,
    signer: Annotated[
        str | None, typer.Option(metavar="KEY", help="Public key that must have signed it: a PEM file or 64 digits.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Check a commitment and the timestamps and signature beside it, offline and without any secret."""
    roots = [
        c for path in authority_certificate or () for c in read_certificates(read_bytes(path, "a certificate"), path)
    ]
    wanted = None
    if signer is not None:
        file = Path(signer)
        wanted = read_public_key(read_bytes(file, "a public key") if file.is_file() else signer.encode(), signer)
    found = check_published(read_published(commitment), roots, wanted)
    answer = {
        "commitment": found.published.committed.commitment,
        "claimed": found.published.committed.created.isoformat(),
        "timestamps": [stamp.time.isoformat() for stamp in found.stamps],
        "timestamps_of_questions": [stamp.time.isoformat() for stamp in found.question_stamps],
        "timestamps_not_checked": found.unchecked,
        "signer": found.signer,
        "flags": list(found.coin.flags),
        "coin": found.coin.sentence,
    }
    console.answer("\n".join(found.in_words()), answer, as_json)
    return console.DONE
