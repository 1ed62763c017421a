"""Asking a suspect, once: outputs are cached under everything they depend on, so a killed run resumes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detect.suspects.images.suspect import Query, Sampler, Suspect, stacked
from protect.files import canonical_json, private_folder, write_atomic
from protect.pixels.measure import png_bytes

def cached_outputs(
    suspect: Suspect,
    queries: Sequence[Query],
    sampler: Sampler,
    cache: Path,
    ready: Callable[[int], None] = lambda more: None,
) -> NDArray[np.uint8]:
    """The suspect's pictures for `queries`, from the cache where they are there already.

    Args:
        suspect: the model under test.
        queries: prompts and seeds.
        sampler: sampling settings.
        cache: folder for outputs of all suspects; each suspect, sampler and software has its own inside.
        ready: called with the number of further outputs each time some are ready.

    Returns:
        uint8 RGB, shape (n, H, W, 3).
    """
    paths = cache_paths(suspect, queries, sampler, cache)
    pictures = [_read(path) for path in paths]
    for start in range(0, len(queries), suspect.at_once):
        chunk = slice(start, start + suspect.at_once)
        # Whole chunks or nothing: a picture may depend on its batch by rounding, so a resumed run repeats batches.
        if any(picture is None for picture in pictures[chunk]):
            pictures[chunk] = list(stacked(suspect.answer(queries[chunk], sampler)))
            for path, picture in zip(paths[chunk], pictures[chunk], strict=True):
                private_folder(path.parent)
                write_atomic(path, png_bytes(picture), mode=0o600)
        ready(len(paths[chunk]))
    return np.stack(pictures)


def cache_paths(suspect: Suspect, queries: Sequence[Query], sampler: Sampler, cache: Path) -> list[Path]:
    """Where the outputs for `queries` are kept, one file each."""
    folder = cache / digest([suspect.identity, sampler.as_dict()])
    return [folder / f"{digest([q.prompt, q.seed])}.png" for q in queries]


def _read(path: Path) -> Any:
    """A cached picture, RGB; None if it is not there or damaged."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError):
        return None


def digest(value: object) -> str:
    """Short name of a JSON value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:24]


def pixel_hashes(outputs: NDArray[np.uint8]) -> tuple[str, ...]:
    """SHA-256 of each picture's shape and pixels."""
    return tuple(hashlib.sha256(repr(o.shape).encode() + o.tobytes()).hexdigest() for o in outputs)
