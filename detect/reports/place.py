"""Where a report goes unless the owner says so: a file called after the suspect, and never one that is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from protect import console
from protect.errors import InputError

LONGEST = 60
"""Characters of a file's name that tell the suspect."""
_SUFFIXES = re.compile(r"\.(safetensors|ckpt|pt|pth|bin|csv|json)$")
_EVERYBODYS = re.compile(
    r"pytorch_lora_weights|adapter_model|learned_embeds|(diffusion_)?(pytorch_)?model|last|(checkpoint|epoch|step)-?\d+"
)
"""Names that trainers give to everybody's file or folder."""


def checked_page(
    given: Path | None, kind: str, suspects: Iterable[str | Path | None], output: Path | None = None
) -> Path:
    """The page of `page_of`, once it and `--output` can be written.

    Raises:
        InputError: if one of them cannot, or both are one.
    """
    page = page_of(given, kind, suspects)
    console.check_target("--report", page)
    if output:
        console.check_target("--output", output, [page], page=False)
    return page


def page_of(given: Path | None, kind: str, suspects: Iterable[str | Path | None]) -> Path:
    """The file that was asked for, or one in the working folder that is called after the suspects.

    A name that trainers give to everybody's file has its folder's name before it.

    Args:
        given: what `--report` was given, if anything.
        kind: what is reported, such as "report" or "trace".
        suspects: paths or addresses; None and empty ones are passed over.

    >>> str(page_of(None, "report", ["runs/suspect/"])), str(page_of(None, "trace", ["https://example.org/v1/images"]))
    ('tracemark-report-suspect.html', 'tracemark-trace-example.org-v1-images.html')
    >>> str(page_of(None, "report", ["run1/pytorch_lora_weights.safetensors"]))
    'tracemark-report-run1-pytorch_lora_weights.html'
    """
    if given is not None:
        return given
    names = (re.sub(r"[^\w.]+", "-", _told(str(one))).strip("-.") for one in suspects if one)
    told = "-".join(filter(None, names))[:LONGEST].strip("-.")
    return Path("-".join(filter(None, ("tracemark", kind, told))) + ".html")


def unused(page: Path, given: Path | None) -> Path:
    """Where a page is written now: nothing is written over unless it was asked for.

    Args:
        page: of `checked_page`.
        given: what `--report` was given: it is kept to.

    Returns:
        The page, or the first of `…-2.html`, `…-3.html` and so on that is not there. It is made, so that another run
        that ends at the same time takes the next.

    Raises:
        InputError: if none can be made.
    """
    if given is not None:
        return given
    own, number = page, 1
    while True:
        try:
            own.touch(mode=0o600, exist_ok=False)
            return own
        except FileExistsError:
            number += 1
            own = page.with_stem(f"{page.stem}-{number}")
        except OSError as error:
            raise InputError(f"cannot write {own}: {error.strerror}", "Give another --report.") from error


def _told(suspect: str) -> str:
    """An address without its scheme, or a path's last part without its suffix, after the folders that tell it apart."""
    scheme, found, rest = suspect.partition("://")
    if found and scheme.isalpha():
        return rest
    path = Path(suspect).resolve()
    told = [_SUFFIXES.sub("", path.name)]
    for folder in path.parents:
        if not _EVERYBODYS.fullmatch(told[0].lower()):
            break
        told.insert(0, folder.name)
    return "-".join(filter(None, told))
