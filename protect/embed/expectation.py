"""How a thief is expected to train, which decides what an owner may hope for."""

from __future__ import annotations

from dataclasses import dataclass

from protect.errors import InputError
from protect.release.plan import check_range
from protect.release.power import Run

METHODS = {"lora": "a LoRA", "full": "a full fine-tune"}
"""How a model is trained, and how that is told."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """How a thief is expected to train."""

    passes: float = 10.0
    """Passes over the dataset."""
    method: str = "lora"
    runs: tuple[Run, ...] | None = None
    """Runs to learn from; None for those that ship with the project."""

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises:
            InputError: naming the value and the allowed ones.
        """
        check_range("--passes", self.passes, 1e-3, 1e6)
        if self.method not in METHODS:
            raise InputError(f"--method {self.method} is unknown", f"Allowed: {', '.join(METHODS)}.")

    def spelt(self) -> list[str]:
        """As words of a command line, where it is not the usual one."""
        passes = ["--passes", str(self.passes)] if self.passes != USUAL.passes else []
        return [*passes, "--method", self.method] if self.method != USUAL.method else passes


USUAL = Expectation()
"""What is expected unless told otherwise."""
