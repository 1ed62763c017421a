"""A transcript as a folder: `transcript.json`, and the pictures as PNG files named by the hash of their pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from detect.trial.answers import pixel_hash
from detect.trial.transcript import Transcript, transcript_from
from protect.errors import InputError
from protect.files import private_folder, write_atomic
from protect.marks.family import Pixels
from protect.pixels.measure import png_bytes

FILE, PICTURES = "transcript.json", "pictures"


@dataclass(frozen=True, slots=True)
class PictureFolder(Mapping[str, Pixels]):
    """Pictures in a folder by the hash of their pixels, read and checked when they are wanted."""

    folder: Path

    def __getitem__(self, sha256: str) -> Pixels:
        path = self.folder / f"{sha256}.png"
        if not sha256.isalnum() or not path.is_file():
            raise KeyError(sha256)
        try:
            with Image.open(path) as image:
                picture = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{path} cannot be read ({error})", "Take the folder as it was written.") from None
        if pixel_hash(picture) != sha256:
            raise InputError(f"{path} holds another picture than its name says", "Take the folder as it was written.")
        return picture

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in sorted(self.folder.glob("*.png")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def write_transcript(transcript: Transcript, folder: Path) -> None:
    """Write a transcript and all its pictures, readable by their owner only.

    Args:
        transcript: with all pictures at hand.
        folder: made if need be.

    Raises:
        InputError: if a picture is not at hand, or the folder cannot be written.
    """
    held = _all_pictures(transcript)
    if missing := sorted(transcript.pictures_named - set(held)):
        raise InputError(
            f"{len(missing)} of {len(transcript.pictures_named)} pictures of the transcript are not at hand",
            "They lay in the cache: ask the suspect again.",
        )
    place = private_folder(private_folder(folder) / PICTURES)
    for sha256 in sorted(transcript.pictures_named):
        write_atomic(place / f"{sha256}.png", png_bytes(held[sha256]), mode=0o600)
    write_atomic(folder / FILE, transcript.to_json(), mode=0o600)


def read_transcript(folder: Path) -> Transcript:
    """Read a transcript; its pictures are read and checked when they are used.

    Raises:
        InputError: if there is none, or it is damaged.
    """
    path = folder / FILE
    try:
        row = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error})", "Give a folder with a transcript.") from None
    return transcript_from(row, PictureFolder(folder / PICTURES))


def _all_pictures(transcript: Transcript) -> dict[str, Pixels]:
    """Those at hand, the reference's among them."""
    own = {name: transcript.pictures[name] for name in transcript.pictures_named if name in transcript.pictures}
    return own | (_all_pictures(transcript.reference) if transcript.reference else {})
