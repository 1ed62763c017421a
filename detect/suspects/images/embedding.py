"""Embeddings: vectors for new words, by textual inversion (arXiv 2208.01618) or trained beside a LoRA (pivotal tuning).

They change a picture only where their word stands in the prompt. Questions are captions of the owner's pictures, so
an embedding alone changes no answer; beside a LoRA it is put in, and what calls it up is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detect.suspects.images.accounting import check_finite
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import PICKLES, first_line, read_pickle, read_tensors, some
from protect.errors import SuspectError

_ENCODERS = {
    "clip_l": "text_encoder",
    "clip_g": "text_encoder_2",
    "text_encoders_0": "text_encoder",
    "text_encoders_1": "text_encoder_2",
    "t5": "text_encoder_2",
}
"""Text encoders under the names that trainers give to their vectors."""
_MOST = 4
"""Entries of a file of embeddings, at most."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """New words of a model."""

    path: Path
    vectors: dict[str, Tensor]
    """By text encoder, shape (n, width); the same number for each."""
    words: list[str]
    """n of them; the first calls the whole up where trainers say so."""


def is_embedding(names: list[str]) -> bool:
    """Whether entries of these names are an embedding's."""
    if {*_ENCODERS, "emb_params", "string_to_param"} & set(names):
        return True
    return 0 < len(names) <= _MOST and not any("." in name for name in names)


def read_embedding(path: Path) -> Embedding:
    """The vectors of a file, and their words.

    Raises:
        SuspectError: if they cannot be read, or are not vectors.
    """
    content = _content(path)
    if content.keys() <= _ENCODERS.keys():
        vectors = {_ENCODERS[name]: _rows(path, name, tensor) for name, tensor in content.items()}
        word = None  # diffusers' trainers call them <s0>, <s1> …
    elif len(content) == 1:
        ((name, tensor),) = content.items()
        vectors, word = {"text_encoder": _rows(path, name, tensor)}, path.stem if name in ("emb_params", "*") else name
    else:
        raise SuspectError(f"{path} is no embedding that is understood: {some(content)}", "Give one word in a file.")
    check_finite(path, vectors)
    counts = {len(rows) for rows in vectors.values()}
    if len(counts) != 1:
        raise SuspectError(f"{path} has different numbers of vectors for its text encoders", "Export it again.")
    count = counts.pop()
    words = [f"<s{i}>" for i in range(count)] if word is None else [word, *(f"{word}_{i}" for i in range(1, count))]
    return Embedding(path, vectors, words)


def _content(path: Path) -> dict[str, Tensor]:
    """The tensors of a file; of a pickle as AUTOMATIC1111 writes it, those of its one word."""
    if path.suffix in PICKLES:
        content = read_pickle(path)
        if isinstance(inner := content.get("string_to_param"), dict):
            word = content.get("name")
            return {word if isinstance(word, str) and word else "*": tensor for tensor in inner.values()}
        return {name: tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
    from detect.suspects.images.weights import read_names

    return read_tensors(path, read_names(path))


def _rows(path: Path, name: str, tensor: Tensor) -> Tensor:
    if tensor.ndim not in (1, 2) or not tensor.is_floating_point() or tensor.numel() == 0:
        raise SuspectError(f"{path}: {name} is no vector ({tuple(tensor.shape)})", "Give an embedding of a word.")
    return tensor.reshape(-1, tensor.shape[-1])


@torch.no_grad()
def add_embedding(pipeline: Any, embedding: Embedding) -> str:
    """Teach a pipeline on the CPU the words of an embedding.

    Returns:
        In words, what calls it up.

    Raises:
        SuspectError: if the pipeline has no such text encoder, or vectors of another width, or knows a word already.
    """
    for name, vectors in embedding.vectors.items():
        encoder = getattr(pipeline, name, None)
        tokenizer = getattr(pipeline, name.replace("text_encoder", "tokenizer"), None)
        if encoder is None or tokenizer is None or not hasattr(pipeline, "load_textual_inversion"):
            raise SuspectError(f"{embedding.path} is for {name}, which the base has not", "Give another --base.")
        width = encoder.get_input_embeddings().weight.shape[1]
        if width != vectors.shape[1]:
            raise SuspectError(
                f"{embedding.path} has vectors of {vectors.shape[1]} values, {name} of the base of {width}",
                "Give --base the model it was trained on.",
            )
        try:
            with silenced_libraries():
                pipeline.load_textual_inversion(
                    [{word: row} for word, row in zip(embedding.words, vectors, strict=True)],
                    token=list(embedding.words),
                    tokenizer=tokenizer,
                    text_encoder=encoder,
                )
        except ValueError as error:
            raise SuspectError(f"{embedding.path} cannot be added ({first_line(error)})", "Leave it out.") from error
        _check(embedding, tokenizer, encoder, vectors)
    called = " ".join(embedding.words[:3]) + (" …" if len(embedding.words) > 3 else "")
    return f"{embedding.path.name} is called up by {called}, which no planned question holds"


def _check(embedding: Embedding, tokenizer: Any, encoder: Any, vectors: Tensor) -> None:
    """Raise SuspectError unless every word has its vector."""
    places = tokenizer.convert_tokens_to_ids(embedding.words)
    table = encoder.get_input_embeddings().weight
    if len(set(places)) != len(places) or not torch.equal(table[places], vectors.to(table.dtype)):
        raise SuspectError(f"{embedding.path} did not arrive in the text encoder", "Please report this fault.")
