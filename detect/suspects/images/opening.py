"""Models under test, opened from local files: what each file is, and how several make one model.

Kinds: whole pipelines (`folder`), single files (`checkpoint`), adapters (`adapters`) and embeddings (`embedding`). One
whole model is the ground, given by itself or as `--base`; adapters are melted into it in their order.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from detect.suspects.images import check_base
from detect.suspects.images.adapters import apply_adapter, read_adapter
from detect.suspects.images.adapters.groups import is_adapter
from detect.suspects.images.adapters.scales import PEFT_SETTINGS
from detect.suspects.images.beside import earlier_states, find_beside, refuse_beside
from detect.suspects.images.checkpoint import load_checkpoint, read_checkpoint
from detect.suspects.images.embedding import add_embedding, is_embedding, read_embedding
from detect.suspects.images.folder import load_pipeline
from detect.suspects.images.header import Header, parse_header
from detect.suspects.images.hub import local_path, name_of
from detect.suspects.images.lora import find_weights
from detect.suspects.images.weights import (
    PICKLES,
    SETTING_SUFFIXES,
    folder_digest,
    read_metadata,
    read_names,
    read_pickle,
    refuse_pickle,
    some,
)
from protect.errors import SuspectError
from protect.files import canonical_json, sha256_file


class Kind(StrEnum):
    """What a path can be."""

    pipeline = "a whole pipeline"
    checkpoint = "a model in one file"
    adapter = "an adapter"
    embedding = "an embedding"


@dataclass(frozen=True, slots=True)
class Part:
    """A path that was given, and what it is."""

    given: Path
    kind: Kind
    files: tuple[Path, ...]
    """A pipeline's folder, or the file or files of anything else."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A model on the CPU, ready to be placed where it draws."""

    pipeline: Any
    name: str
    identity: dict[str, str]
    """Digests of all that it is made of."""
    notes: tuple[str, ...]
    """What a reader must know of how it was opened."""
    headers: tuple[tuple[str, Header], ...]
    """What its adapters say of themselves, by name."""


def open_model(
    models: Sequence[Path],
    base: Path | None = None,
    *,
    scales: Sequence[float] = (),
    allow_pickle: bool = False,
    dtype: torch.dtype = torch.float32,
    alone: bool = False,
) -> Opened:
    """Open what was given as one model.

    Args:
        models: a whole model, or adapters for `base`, or both.
        base: the diffusers folder that adapters go onto, or that a single file needs for its configuration.
        scales: strengths of the adapters in their order; one for all of them, or none for 1.
        allow_pickle: read .bin, .ckpt and .pt files too.
        dtype: precision in which weights are kept.
        alone: take a pipeline without the other weights in its folder.

    Raises:
        SuspectError: if anything is missing, unsafe, corrupt or left out.
    """
    parts = [recognise(path, allow_pickle) for path in models]
    base = base and local_path(base)
    whole = [part for part in parts if part.kind in (Kind.pipeline, Kind.checkpoint)]
    _check_together(parts, whole, base)
    strengths = _strengths(scales, sum(part.kind == Kind.adapter for part in parts))
    pipeline, identity, notes = _ground(whole, base, parts, allow_pickle, dtype, alone)
    headers: list[tuple[str, Header]] = []
    for part in parts:
        if part.kind == Kind.adapter:
            header = read_header(part.files[0])
            _put_on(pipeline, part, allow_pickle, strengths[len(headers)], header)
            headers.append((name_of(part.given), header))
            if part.given.is_dir() and (earlier := earlier_states(part.given)):
                notes.append(f"passed over in its folder: {some(earlier)}")
        elif part.kind == Kind.embedding:
            notes.append(add_embedding(pipeline, read_embedding(part.files[0])))
    identity = _with_additions(identity, [part for part in parts if part not in whole], strengths)
    name = " + ".join(name_of(part.given) for part in parts)
    return Opened(pipeline, name, identity, tuple(notes), tuple(headers))


def _put_on(pipeline: Any, part: Part, allow_pickle: bool, strength: float, header: Header) -> None:
    """Melt an adapter in; where it wants another base, its own words say which."""
    try:
        apply_adapter(pipeline, read_adapter(part.files[0], allow_pickle), strength)
    except SuspectError as error:
        said = header.base_in_words()
        if said and "--base" in error.advice:
            raise SuspectError(error.what, f"{error.advice.rstrip('.')}; it says that this was {said}.") from error
        raise


def recognise(path: Path, allow_pickle: bool = False) -> Part:
    """What a path is.

    Raises:
        SuspectError: if it is nothing that can be opened, or a pickle that may not be.
    """
    own = local_path(path)
    if (own / "model_index.json").is_file():
        return Part(path, Kind.pipeline, (own,))
    files = find_weights(own)
    for file in files:
        refuse_pickle(file, allow_pickle)
    if len(files) > 1:
        return Part(path, Kind.checkpoint, tuple(files))
    file = files[0]
    names = list(read_pickle(file)) if file.suffix in PICKLES else read_names(file)
    if is_adapter(names):
        return Part(path, Kind.adapter, (file,))
    return Part(path, Kind.embedding if is_embedding(names) else Kind.checkpoint, (file,))


def read_header(path: Path) -> Header:
    """What an adapter file says of itself."""
    settings = path.parent / PEFT_SETTINGS
    try:
        said = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    except (OSError, ValueError):
        said = {}
    return parse_header(read_metadata(path), said if isinstance(said, dict) else {})


def _check_together(parts: Sequence[Part], whole: Sequence[Part], base: Path | None) -> None:
    """Refuse combinations that make no model."""
    first = parts[0].given
    if len(whole) > 1:
        raise SuspectError(
            f"{whole[0].given} and {whole[1].given} are two whole models", "Test them one after the other."
        )
    if any(part.kind == Kind.pipeline for part in parts) and base is not None:
        raise SuspectError(f"{whole[0].given} is a whole pipeline, but --base {base} was given", "Drop --base.")
    if base is None and not any(part.kind == Kind.pipeline for part in parts):
        kind = "a LoRA" if parts[0].kind == Kind.adapter else parts[0].kind
        raise SuspectError(f"{first} is {kind}, not a whole pipeline, and no base model was given", _advice(parts))
    if base is not None:
        check_base(base)
    if all(part.kind == Kind.embedding for part in parts):
        raise SuspectError(
            f"{first} is an embedding: it changes pictures only where a prompt holds its word, and no question does",
            "Test the model or the LoRA that it was trained with, and add it with another --model.",
        )


def _advice(parts: Sequence[Part]) -> str:
    """Which base to give, as far as the files say."""
    for part in parts:
        said = read_header(part.files[0]).base_in_words() if part.kind == Kind.adapter else ""
        if said:
            return f"Add --base FOLDER, the diffusers folder it was trained on; it says that this was {said}."
    if parts[0].kind == Kind.adapter:
        return "Add --base FOLDER, the diffusers folder the LoRA was trained on."
    return "Add --base FOLDER, a diffusers folder of the same family: it brings configuration and tokenizer."


def _strengths(scales: Sequence[float], adapters: int) -> list[float]:
    if len(scales) not in (0, 1, adapters):
        raise SuspectError(f"{len(scales)} strengths for {adapters} adapters", "Give one --scale, or one for each.")
    if any(not math.isfinite(scale) or scale == 0 for scale in scales):
        raise SuspectError("--scale must be a number other than 0", "A strength of 1 is the adapter as trained.")
    if scales and not adapters:
        raise SuspectError("--scale is for adapters, and none was given", "Drop --scale.")
    return list(scales) * adapters if len(scales) == 1 else list(scales) or [1.0] * adapters


def _ground(
    whole: Sequence[Part],
    base: Path | None,
    parts: Sequence[Part],
    allow_pickle: bool,
    dtype: torch.dtype,
    alone: bool,
) -> tuple[Any, dict[str, str], list[str]]:
    """The whole model under adapters, its digests, and what must be said of it."""
    notes: list[str] = []
    if whole and whole[0].kind == Kind.checkpoint:
        assert base is not None, "it was checked that a single file has a base"
        checkpoint = read_checkpoint(whole[0].files)
        pipeline, kept = load_checkpoint(checkpoint, base, dtype, allow_pickle)
        if kept:
            notes.append(f"{', '.join(kept)}: not in {name_of(whole[0].given)}, taken from the base")
        weights = _digest([sha256_file(file) for file in whole[0].files])
        identity = {"weights": weights, "base": folder_digest(base)}
        return pipeline, identity | {"configuration": folder_digest(base, SETTING_SUFFIXES)}, notes
    folder = whole[0].files[0] if whole else base
    assert folder is not None, "it was checked that there is a whole model or a base"
    if whole:
        named = {part.files[0].resolve() for part in parts}
        beside = [path for path in find_beside(folder) if path.resolve() not in named]
        if not alone:
            refuse_beside(folder, beside)
        passed = [path.relative_to(folder).as_posix() for path in beside] + earlier_states(folder)
        notes += [f"passed over in its folder: {some(passed)}"] if passed else []
    identity = {"weights": folder_digest(folder), "configuration": folder_digest(folder, SETTING_SUFFIXES)}
    return load_pipeline(folder, allow_pickle=allow_pickle, dtype=dtype), identity, notes


def _with_additions(identity: dict[str, str], additions: Sequence[Part], strengths: Sequence[float]) -> dict[str, str]:
    """Digests of a model with adapters and embeddings: what lies under them is its base."""
    if not additions:
        return identity
    remaining = iter(strengths)
    listed = [(sha256_file(part.files[0]), next(remaining) if part.kind == Kind.adapter else 1.0) for part in additions]
    digest = listed[0][0] if listed == [(listed[0][0], 1.0)] else _digest(listed)
    under = identity["weights"] if "base" not in identity else _digest([identity["weights"], identity["base"]])
    kept = {name: value for name, value in identity.items() if name not in ("weights", "base")}
    return {"adapter": digest, "base": under} | kept


def _digest(value: object) -> str:
    """SHA-256 of a JSON value; of a lone digest the digest itself."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    return hashlib.sha256(canonical_json(value)).hexdigest()
