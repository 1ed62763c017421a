"""Commands of evidence bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from protect import console
from protect.errors import InputError

SUFFIX = ".zip"


def is_bundle(output: Path | None) -> bool:
    """Whether an answer is to be written as an evidence bundle."""
    return output is not None and output.suffix.lower() == SUFFIX


def check_one(releases: int) -> None:
    """Refuse a bundle of several releases.

    Raises:
        InputError: if there is not exactly one.
    """
    if releases != 1:
        raise InputError(
            f"an evidence bundle holds one verdict, and {releases} releases would be tested",
            "Name one: --release NAME.",
        )


def verify_command(
    bundle: Annotated[Path, typer.Argument(help="Evidence bundle: a .zip file written by detect run.")],
    authority_certificate: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Root certificate of a timestamp authority that you trust; repeatable."),
    ] = None,
    signer: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Public key that must have signed it (PEM).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Compute a bundle's verdict again, offline, and say what it rests on. A changed bundle is refused.

    Needs neither keyring nor torch. Example: detect verify case.zip --signer owner.pem
    """
    from detect.bundle.verify import verify_bundle
    from protect.keys.signature import read_public_key
    from protect.keys.timestamp import read_certificates

    trusted = [c for path in authority_certificate or () for c in read_certificates(_read(path), path)]
    found = verify_bundle(bundle, trusted, read_public_key(_read(signer), signer) if signer else "")
    lines = [
        f"{found.outcome}: “{found.suspect}” against release {found.release}",
        f"  E = {found.e_value:,.4g} (required {found.threshold:,.0f}), p = {found.p_value:.2g}, {found.slots} slot(s)",
        *(f"  - {sentence}" for sentence in found.rests_on),
    ]
    console.answer("\n".join(lines), found.as_json(), as_json)
    return console.DONE


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})", "Check the path.") from None
