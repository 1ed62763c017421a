"""How much of a prompt a pipeline's text encoders read."""

from __future__ import annotations

import inspect
from typing import Any

from detect.suspects.images.silence import silenced_libraries


def reaches(pipeline: Any, prompt: str) -> dict[str, int | None]:
    """Of each tokenizer, how many characters of a prompt fit into its window; None if that is not known."""
    default = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length")
    limit = default.default if default is not None and isinstance(default.default, int) else None
    tokenizers = {
        name: part for name, part in pipeline.components.items() if name.startswith("tokenizer") and part is not None
    }
    with silenced_libraries():
        return {name: _reach(tokenizer, prompt, limit) for name, tokenizer in tokenizers.items()}


def _reach(tokenizer: Any, prompt: str, limit: int | None) -> int | None:
    """Characters that fit into a tokenizer's window; None if it does not tell where its tokens stand."""
    if not getattr(tokenizer, "is_fast", False):
        return None
    window = min(tokenizer.model_max_length, limit or tokenizer.model_max_length)
    room = max(1, window - tokenizer.num_special_tokens_to_add())
    places = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return len(prompt) if len(places) <= room else int(places[room - 1][1])
