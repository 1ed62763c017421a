"""What every suspect must offer: a name, an identity, and pictures for prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Query:
    """One planned question to the suspect."""

    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Sampler:
    """How pictures are drawn; part of the plan, never tuned per suspect."""

    steps: int = 20
    guidance: float = 3.0
    size: int | None = None
    """Side of the picture in pixels; None is the pipeline's own."""

    def as_dict(self) -> dict[str, int | float | None]:
        """The fields by name, ready for JSON."""
        return asdict(self)


class Suspect(ABC):
    """A model under test."""

    name: str
    """What reports call it."""

    identity: dict[str, str]
    """Everything its outputs depend on besides query and sampler: hashes, scheduler, precision, versions."""

    @abstractmethod
    def generate(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        """Pictures for `queries`, uint8 RGB (n, height, width, 3); each depends on its own query only."""
