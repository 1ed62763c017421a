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

    negative: str = ""
    """Negative prompt; none is ever planned, but a provider may add one."""

    def as_dict(self) -> dict[str, int | float | str | None]:
        """The fields by name, ready for JSON; a negative prompt only where there is one."""
        return {name: value for name, value in asdict(self).items() if name != "negative" or value}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a suspect said to one question: a picture, or that it gave none."""

    picture: NDArray[np.uint8] | None
    """RGB, shape (H, W, 3); None where the question was refused."""
    flags: tuple[str, ...] = ()
    """What a reader must know of it: `refused`, `safety-blanked`, `size-changed`, `prompt-rewritten`,
    `owner-collected`, `lossy`."""
    note: str = ""
    """In words: why it was refused, or how the provider rewrote the prompt."""


class Suspect(ABC):
    """A model under test."""

    name: str
    """What reports call it."""

    identity: dict[str, str]
    """Everything its outputs depend on besides query and sampler: hashes, scheduler, precision, versions."""

    @abstractmethod
    def generate(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        """Pictures for `queries`, uint8 RGB (n, height, width, 3); each depends on its own query only."""

    def characters_read(self, prompt: str) -> int | None:
        """How many characters of a prompt, from its start, fit into the text window; None if that is not known."""
        return None
