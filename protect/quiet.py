"""One line that a foreign library prints when it is imported, about what is not used here."""

from __future__ import annotations

import logging

_IMPORTED_WITH_DIFFUSERS = "bitsandbytes.backends.cpu.ops"
"""peft imports bitsandbytes wherever it is installed, and diffusers imports peft."""


def tells_something(record: logging.LogRecord) -> bool:
    """False for bitsandbytes' advice to install kernels for 4-bit weights, of which none are opened here."""
    return "Failed to load CPU gemm_4bit_forward" not in record.getMessage()


def silence_imports() -> None:
    """Keep that line off stderr; everything else that bitsandbytes warns of is shown."""
    logging.getLogger(_IMPORTED_WITH_DIFFUSERS).addFilter(tells_something)
