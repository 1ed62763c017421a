"""`protect show`: a private page with the carriers of a real release, before and after."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from protect.embed.render import Placed
from protect.embed.verify import carrier_records
from protect.errors import InputError
from protect.files import write_atomic
from protect.formats.dataset_format import Dataset
from protect.formats.record import Record, normalised
from protect.pages import render_page
from protect.pixels.measure import on_white
from protect.pixels.picture import PictureError, read_rgba
from protect.progress import Progress, no_progress
from protect.release.bound import BoundRelease
from protect.release.record import Carrier, Release

SIDE = 640
"""Longest side of pictures on the page, in pixels."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One carrier on the page; pictures are data URIs, empty if there are none."""

    key: str
    slot: int
    psnr: float
    before: str
    after: str
    captions: tuple[tuple[str, str, str], ...]
    """Field, caption before (empty if not known) and after."""


def carriers_shown(
    bound: BoundRelease, copy: Dataset, original: Dataset | None, count: int, progress: Progress = no_progress
) -> list[Shown]:
    """The first carriers of each slot, turn by turn.

    Args:
        bound: the release.
        copy: its protected copy.
        original: the dataset before.
        count: most carriers.
        progress: told (stage, done, total).

    Raises:
        InputError: if the copy holds none of them, or the original is another dataset.
    """
    release = bound.release
    after = carrier_records(release, copy)
    if not after:
        raise InputError(f"{copy.root} holds no carrier of release {release.id}", "Give its protected copy.")
    before = carrier_records(release, original) if original else {}
    if original and not any(_is_original(bound, carrier, before) for carrier in release.carriers):
        raise InputError(f"{original.root} is not the dataset of release {release.id}", "Give the unmarked original.")
    chosen = _turn_by_turn(release.carriers)[:count]
    shown = []
    for done, carrier in enumerate(chosen, 1):
        key = normalised(carrier.key)
        shown.append(_shown(carrier, before.get(key), after.get(key)))
        progress("pictures", done, len(chosen))
    return shown


def _is_original(bound: BoundRelease, carrier: Carrier, before: Mapping[str, Record]) -> bool:
    """Whether a carrier's captions follow from those of the dataset."""
    record = before.get(normalised(carrier.key))
    if record is None:
        return False
    slots = tuple(bound.slots[slot] for slot in carrier.slots)
    placed = Placed(record, slots, tuple(bound.slots[slot] for slot in carrier.opposite))
    return placed.captions(bound.release.plan.leave_captions) == dict(carrier.captions)


def _turn_by_turn(carriers: Sequence[Carrier]) -> list[Carrier]:
    place: dict[int, int] = {}
    ranked = []
    for carrier in carriers:
        slot = _first_slot(carrier)
        place[slot] = place.get(slot, 0) + 1
        ranked.append((place[slot], slot, carrier))
    return [row[2] for row in sorted(ranked, key=lambda row: row[:2])]


def _first_slot(carrier: Carrier) -> int:
    return (*carrier.slots, *carrier.opposite)[0]


def _shown(carrier: Carrier, before: Record | None, after: Record | None) -> Shown:
    old: Mapping[str, str] = before.captions if before else {}
    captions = tuple((name, old.get(name, ""), text) for name, text in carrier.captions.items())
    return Shown(carrier.key, _first_slot(carrier) + 1, carrier.psnr, _picture(before), _picture(after), captions)


def _picture(record: Record | None) -> str:
    """A picture for a page without external files: JPEG of at most SIDE pixels."""
    if record is None:
        return ""
    try:
        picture = Image.fromarray(on_white(read_rgba(record.read())))
    except (OSError, PictureError):
        return ""
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=92)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def write_page(path: Path, release: Release, shown: Sequence[Shown]) -> None:
    """Write the page; it names carriers, so only its owner can read it."""
    html = render_page("protect.embed", "show.html.j2", release=release, shown=shown)
    write_atomic(path, html.encode(), mode=0o600)
