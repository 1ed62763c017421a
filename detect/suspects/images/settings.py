"""How a model is kept while it draws: choices that a user has. Imports no torch."""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """How weights are kept."""

    auto = "auto"
    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"


class Offload(StrEnum):
    """What waits in main memory while a pipeline draws on an accelerator."""

    none = "none"
    model = "model"
    sequential = "sequential"
