"""What the owner decides about a passive test, and what it will cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from detect.provenance.panel import check_references
from detect.provenance.sets import SHADOW_PROMPT, VALIDATION_PROMPT, prompts
from detect.provenance.training import Recipe
from detect.provenance.trainprove import BATCH, Variant
from detect.suspects.images import Sampler
from protect.errors import InputError
from protect.release.plan import check_range


@dataclass(frozen=True, slots=True)
class Settings:
    """What the owner decides; the numbers of pictures are those of the paper's CIFAR-10 experiment."""

    train_per_class: int = 300
    test_per_class: int = 500
    shadow_prompt: str = SHADOW_PROMPT
    test_prompt: str = VALIDATION_PROMPT
    sampler: Sampler = field(default_factory=Sampler)
    shadow: Recipe = field(default_factory=Recipe)
    references: int = 19
    """For each control."""
    variant: Variant = "accuracy"
    batch: int = BATCH
    alpha: float = 0.05

    def check(self, controls: int, classes: int) -> None:
        """Refuse values that make no sense, and controls or references that cannot give a verdict.

        Raises:
            InputError: naming the value and the allowed range.
        """
        check_range("--train-per-class", self.train_per_class, 2, 100_000)
        check_range("--test-per-class", self.test_per_class, 2, 100_000)
        check_range("--references", self.references, 1, 10_000)
        check_range("--alpha", self.alpha, 1e-4, 0.5)
        check_range("--batch", self.batch, 2, 10_000)
        for template in (self.shadow_prompt, self.test_prompt):
            prompts(template, ["x"], 1, 0)
        self.shadow.check()
        if controls < 2:
            raise InputError(
                f"{controls} control(s)", "Give two or more --control: other generators, or class folders of pictures."
            )
        check_references(self.references, self.alpha)
        if self.test_per_class * classes < 3 * self.batch:
            raise InputError(
                f"{self.test_per_class * classes} pictures make fewer than three batches of {self.batch}",
                "Use more --test-per-class, or a smaller --batch (which widens the paper's margin).",
            )

    def cost(self, controls: int, classes: int) -> dict[str, int]:
        """Pictures to draw at most, and classifiers to train."""
        each = (self.train_per_class + self.test_per_class) * classes
        return {"pictures": each * (1 + controls), "classifiers": 1 + self.references * controls}
