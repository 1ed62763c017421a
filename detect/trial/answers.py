"""Asking a suspect, once: answers are cached under everything they depend on, so a killed run resumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect, stacked
from protect.files import canonical_json, private_folder, write_atomic
from protect.pixels.measure import png_bytes


def cached_answers(
    suspect: Suspect,
    queries: Sequence[Query],
    sampler: Sampler,
    cache: Path,
    ready: Callable[[int], None] = lambda more: None,
) -> list[Answer]:
    """The suspect's answers to `queries`, from the cache where they are there already.

    Args:
        suspect: the model under test.
        queries: prompts and seeds.
        sampler: sampling settings.
        cache: folder for answers of all suspects; each suspect, sampler and software has its own inside.
        ready: called with the number of further answers each time some are ready.

    Raises:
        SuspectError: if it cannot be asked.
    """
    paths = cache_paths(suspect, queries, sampler, cache)
    answers = [_read(path) for path in paths]
    for start in range(0, len(queries), suspect.at_once):
        chunk = slice(start, start + suspect.at_once)
        # Whole chunks or nothing: a picture may depend on its batch by rounding, so a resumed run repeats batches.
        if any(answer is None for answer in answers[chunk]):
            said = suspect.answer(queries[chunk], sampler)
            for path, answer in zip(paths[chunk], said, strict=True):
                _write(path, answer)
            answers[chunk] = said
        ready(len(paths[chunk]))
    return [answer for answer in answers if answer is not None]


def kept_answers(suspect: Suspect, queries: Sequence[Query], sampler: Sampler, cache: Path) -> list[Answer] | None:
    """The answers to `queries` if the cache holds all of them; None if the suspect would have to be asked."""
    answers = [_read(path) for path in cache_paths(suspect, queries, sampler, cache)]
    found = [answer for answer in answers if answer is not None]
    return found if len(found) == len(queries) else None


def cached_outputs(
    suspect: Suspect,
    queries: Sequence[Query],
    sampler: Sampler,
    cache: Path,
    ready: Callable[[int], None] = lambda more: None,
) -> NDArray[np.uint8]:
    """The pictures of `cached_answers`, shape (n, H, W, 3), for whoever needs one to every question.

    Raises:
        SuspectError: if it cannot be asked, refuses, or answers in several sizes.
    """
    return stacked(cached_answers(suspect, queries, sampler, cache, ready))


def cache_paths(suspect: Suspect, queries: Sequence[Query], sampler: Sampler, cache: Path) -> list[Path]:
    """Where the pictures for `queries` are kept, one file each; what is to be said of them lies beside, as JSON."""
    folder = cache / digest([suspect.identity, sampler.as_dict()])
    return [folder / f"{digest([q.prompt, q.seed])}.png" for q in queries]


def _write(path: Path, answer: Answer) -> None:
    """Keep an answer: flags first, so that none is ever read without them."""
    private_folder(path.parent)
    refused, said = answer.picture is None, path.with_suffix(".json")
    if refused or answer.flags or answer.note:
        row = {"refused": refused, "flags": answer.flags, "note": answer.note}
        write_atomic(said, canonical_json(row), mode=0o600)
    else:
        said.unlink(missing_ok=True)
    if answer.picture is not None:
        write_atomic(path, png_bytes(answer.picture), mode=0o600)


def _read(path: Path) -> Answer | None:
    """A cached answer; None if it is not there or damaged."""
    try:
        said = path.with_suffix(".json")
        row: dict[str, Any] = json.loads(said.read_bytes()) if said.exists() else {}
        flags, note = tuple(row.get("flags", ())), str(row.get("note", ""))
        if row.get("refused"):
            return Answer(None, flags, note)
        with Image.open(path) as picture:
            return Answer(np.asarray(picture.convert("RGB")), flags, note)
    except (OSError, SyntaxError, ValueError, AttributeError):
        return None


def digest(value: object) -> str:
    """Short name of a JSON value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:24]


def pixel_hash(picture: NDArray[np.uint8]) -> str:
    """SHA-256 of a picture's shape and pixels, 64 hex digits."""
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()


def pixel_hashes(outputs: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> tuple[str, ...]:
    """`pixel_hash` of each picture."""
    return tuple(pixel_hash(picture) for picture in outputs)
