"""What several commands share: options, and checks of what was given. Torch is imported only where it is used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protect.errors import InputError, SuspectError

if TYPE_CHECKING:
    from protect.formats.record import SetAside
    from protect.keys.keyring import Keyring
    from protect.release.record import Release

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str, typer.Option(help="Where models run, as torch names it.")]
Anew = Annotated[
    bool,
    typer.Option("--anew", help="Ask once more; other answers than before are a further look at half the level."),
]


class Method(StrEnum):
    """How a suspect is made."""

    lora = "lora"
    full = "full"


def use_all_cores() -> None:
    """Let torch use every core this process may run on, unless OMP_NUM_THREADS says otherwise."""
    import torch

    from protect.execution.threads import usable_cores

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable_cores())


def check_exist(paths: Sequence[Path], *others: Path | None) -> None:
    """Refuse models that are not there.

    Raises:
        SuspectError: naming the first.
    """
    for path in filter(None, (*paths, *others)):
        if not path.exists():
            raise SuspectError(f"no such file or folder: {path}", "Give a local path, or an address with https://.")


def chosen_releases(keyring: Keyring, name: str | None, *, for_classifiers: bool) -> list[Release]:
    """The named release, or all whose suspects are of that kind.

    Raises:
        InputError: if there is none, or the named one is for the other kind.
    """
    from protect.alignments import is_for_classifiers

    if name:
        release = keyring.load(name)
        if is_for_classifiers(release) != for_classifiers:
            kind, command = ("text-to-image models", "run") if for_classifiers else ("classifiers", "provenance tags")
            raise InputError(f"release {release.name} is for {kind}", f"Use: detect {command}")
        return [release]
    held = (release for release in keyring.releases() if not release.plan.recipients)
    found = [release for release in held if is_for_classifiers(release) == for_classifiers]
    if not found:
        kind, how = (" for classifiers", " --alignment label") if for_classifiers else ("", "")
        raise InputError(f"no releases{kind} in {keyring.home}", f"Make one with: protect embed DATASET{how}")
    return found


def check_given_to_all(releases: Sequence[Release]) -> None:
    """Refuse a release of which every recipient has a copy of its own: its own marks are in none of them."""
    if made := [release for release in releases if release.plan.recipients]:
        raise InputError(
            f"release {made[0].name} was made for recipients: its own marks are in nobody's copy",
            f"Use: detect trace {made[0].id}",
        )


def set_aside_lines(set_aside: Sequence[SetAside]) -> list[str]:
    """All samples set aside, one a line, with their number."""
    lines = [f"set aside: {one.key}: {one.reason}" for one in set_aside]
    return [f"{len(lines)} sample(s) set aside", *lines] if lines else []
