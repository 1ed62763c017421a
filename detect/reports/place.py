"""Where a report goes unless the owner says so: one file for each suspect, so that none takes another's place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from protect import console

LONGEST = 60
"""Characters of a file's name that tell the suspect."""


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

    Args:
        given: what `--report` was given, if anything.
        kind: what is reported, such as "report" or "trace".
        suspects: paths or addresses; None and empty ones are passed over.

    >>> str(page_of(None, "report", ["runs/suspect/"])), str(page_of(None, "trace", ["https://example.org/v1/images"]))
    ('tracemark-report-suspect.html', 'tracemark-trace-example.org-v1-images.html')
    """
    if given is not None:
        return given
    names = (re.sub(r"[^\w.]+", "-", _told(str(one))).strip("-.") for one in suspects if one)
    told = "-".join(filter(None, names))[:LONGEST].strip("-.")
    return Path("-".join(filter(None, ("tracemark", kind, told))) + ".html")


def _told(suspect: str) -> str:
    """An address without its scheme, or a path's last part without its suffix."""
    scheme, found, rest = suspect.partition("://")
    if found and scheme.isalpha():
        return rest
    last = Path(suspect).resolve().name
    return re.sub(r"\.(safetensors|ckpt|pt|pth|bin|csv|json)$", "", last)
