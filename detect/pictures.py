"""A sample's picture, or the reason why it is set aside: one bad picture ends nothing."""

from __future__ import annotations

from protect.formats.record import Record, SetAside
from protect.marks.family import Pixels
from protect.pixels.picture import PictureError, read_rgba


def file_of(record: Record) -> bytes | SetAside:
    """The picture's file as stored, or why it cannot be read."""
    try:
        return record.read()
    except OSError as error:
        return SetAside(record.key, f"cannot be read ({error.strerror or error})")


def picture_of(record: Record) -> Pixels | SetAside:
    """The picture, RGBA, upright, shape (H, W, 4), or why there is none."""
    data = file_of(record)
    if isinstance(data, SetAside):
        return data
    try:
        return read_rgba(data)
    except PictureError as error:
        return SetAside(record.key, error.what)
