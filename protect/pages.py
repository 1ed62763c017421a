"""The one place where pages are made: self-contained HTML from Jinja templates that lie beside the code.

All extend `base.html.j2`, which lies here: one look, dark or light, on narrow screens and on paper.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from protect.files import write_atomic


@cache
def _environment(package: str) -> Environment:
    """Templates of a package, and the base of all; everything is escaped unless a template says otherwise."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader("protect", "")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def render_page(package: str, template: str, **content: object) -> str:
    """A page as HTML.

    Args:
        package: dotted name of the package in whose folder the template lies.
        template: the template's file name.
        content: what the template is given.
    """
    return _environment(package).get_template(template).render(**content)


def write_page(path: Path, package: str, template: str, mode: int = 0o644, **content: object) -> None:
    """Write a page (see `render_page`).

    Args:
        path: file to write, whole or not at all.
        package: dotted name of the package in whose folder the template lies.
        template: the template's file name.
        mode: permission bits; 0o600 for pages that show secrets.
        content: what the template is given.

    Raises:
        InputError: if it cannot be written.
    """
    write_atomic(path, render_page(package, template, **content).encode(), mode=mode)
