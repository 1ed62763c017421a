"""Examples that stand at the end of each command's help; a test reads every one of them as its command would."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "run": (
        "attacks run ./photographs -o ./survival --dry-run",
        "attacks run ./photographs -o ./survival --keys 4",
        "attacks run ./photographs -o ./survival --family template --rate 2% --method lora",
    ),
    "ls": ("attacks ls",),
}
WITH_FAMILIES = ("run",)
"""Commands that take options of families."""
