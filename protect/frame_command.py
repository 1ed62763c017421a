"""The command that keeps a place of the owner's own for family `frame`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from protect import console
from protect.errors import InputError
from protect.keys.keyring import Keyring
from protect.keys.store import Store
from protect.marks.family import Array
from protect.marks.mockup.place import checked_corners
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba

_LARGEST = 2048
"""Longer side, in pixels, at which a place is kept."""


def frame_command(
    picture: Annotated[Path, typer.Argument(help="Picture of a wall, a hoarding or a screen.")],
    corners: Annotated[str, typer.Option(help='What to fill, in pixels, clockwise: "X,Y X,Y X,Y X,Y".')],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Keep a place of your own for family `frame` in the keyring: your pictures are set between its corners."""
    name = keep_place(picture, corners, Keyring.default().store)
    text = (
        f"frame {name} is in the keyring: back it up\nnext: protect embed DATASET --family frame --option frame={name}"
    )
    console.answer(text, {"frame": name}, as_json)
    return console.DONE


def keep_place(picture: Path, corners: str, store: Store) -> str:
    """Store a place; returns its name.

    Args:
        picture: file of the place.
        corners: of what is filled, in pixels, from the upper left one clockwise.
        store: where it is kept.

    Raises:
        InputError: if the picture cannot be read or nothing can be set between the corners.
    """
    try:
        seen = Image.fromarray(on_white(read_rgba(picture.read_bytes())))
    except OSError as error:
        raise InputError(f"{picture} cannot be read ({error.strerror or error})", "Give a picture.") from None
    shares = checked_corners(parse_corners(corners) / seen.size)
    seen.thumbnail((_LARGEST, _LARGEST))
    return store.put("frame", picture=np.asarray(seen), corners=shares)


def parse_corners(text: str) -> Array:
    """Four places as they were written, shape (4, 2).

    >>> parse_corners("10,20 90,20 90,80 10,80").tolist()
    [[10.0, 20.0], [90.0, 20.0], [90.0, 80.0], [10.0, 80.0]]

    Raises:
        InputError: if there are not four, or one is not two numbers.
    """
    try:
        numbers = np.array([[float(number) for number in corner.split(",")] for corner in text.split()])
    except ValueError:
        numbers = np.empty(0)
    if numbers.shape != (4, 2) or not np.isfinite(numbers).all():
        raise InputError(f"--corners {text!r} are not four places", 'For example: --corners "10,20 90,20 90,80 10,80".')
    return numbers
