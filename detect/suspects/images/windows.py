"""How much of a prompt a pipeline's text encoders read."""

from __future__ import annotations

import inspect
from typing import Any

from detect.suspects.images.silence import silenced_libraries

_NO_LIMIT = 10**6
"""Tokenizers without a window name a huge number."""


def windows(pipeline: Any) -> dict[str, int]:
    """Of each text encoder, how many tokens of a prompt it reads at most; those that do not say are left out."""
    limit = _limit(pipeline)
    found = {}
    for name, tokenizer in _tokenizers(pipeline).items():
        length = min(int(getattr(tokenizer, "model_max_length", _NO_LIMIT)), limit or _NO_LIMIT)
        if length < _NO_LIMIT:
            found[name.replace("tokenizer", "text_encoder")] = length
    return found


def reaches(pipeline: Any, prompt: str) -> dict[str, int | None]:
    """Of each tokenizer, how many characters of a prompt fit into its window; None if that is not known."""
    limit = _limit(pipeline)
    with silenced_libraries():
        return {name: _reach(tokenizer, prompt, limit) for name, tokenizer in _tokenizers(pipeline).items()}


def _tokenizers(pipeline: Any) -> dict[str, Any]:
    parts = pipeline.components.items()
    return {name: part for name, part in parts if name.startswith("tokenizer") and part is not None}


def _limit(pipeline: Any) -> int | None:
    """Tokens to which a pipeline's class cuts prompts for its longest encoder, if it does."""
    default = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length")
    return default.default if default is not None and isinstance(default.default, int) else None


def _reach(tokenizer: Any, prompt: str, limit: int | None) -> int | None:
    """Characters that fit into a tokenizer's window; None if it does not tell where its tokens stand."""
    if not getattr(tokenizer, "is_fast", False):
        return None
    window = min(tokenizer.model_max_length, limit or tokenizer.model_max_length)
    room = max(1, window - tokenizer.num_special_tokens_to_add())
    places = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return len(prompt) if len(places) <= room else int(places[room - 1][1])
