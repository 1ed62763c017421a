"""What every suspect must offer: a name, an identity, and pictures for prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from protect.errors import SuspectError


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
    `owner-collected`, `lossy`, `no-seeds`."""
    note: str = ""
    """In words: why it was refused, or how the provider rewrote the prompt."""


class Suspect(ABC):
    """A model under test."""

    name: str
    """What reports call it."""

    identity: dict[str, str]
    """Everything its outputs depend on besides query and sampler: hashes, scheduler, precision, versions."""

    at_once: int = 32
    """Questions put to it before what it answered is kept; a killed run repeats these."""

    repeatable: bool = True
    """Whether it can be asked anything, and answers the same question with the same picture: then a probe knows it
    again (`detect.trial.probe`). Not where answers were collected, or a service draws its own seeds."""

    @abstractmethod
    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        """One answer to each query, in their order; each depends on its own query only.

        A refusal is an answer too. What keeps all answers from coming, such as a server that is away, is an error.

        Raises:
            SuspectError: if it cannot be asked.
        """

    def for_questions(self, queries: Sequence[Query]) -> Suspect:
        """The suspect as one test asks it; another identity only if that rests on what is asked."""
        return self

    def characters_read(self, prompt: str) -> int | None:
        """How many characters of a prompt, from its start, fit into the text window; None if that is not known."""
        return None


def stacked(answers: Sequence[Answer]) -> NDArray[np.uint8]:
    """Answers as one array, for whoever needs a picture to every question.

    Returns:
        RGB, shape (n, H, W, 3).

    Raises:
        SuspectError: if there is none, one was refused, or their sizes differ.
    """
    pictures = [answer.picture for answer in answers if answer.picture is not None]
    if refused := [answer.note for answer in answers if answer.picture is None]:
        raise SuspectError(f"{len(refused)} of {len(answers)} questions were refused ({refused[0]})", "Ask for others.")
    if len(sizes := {picture.shape for picture in pictures}) != 1:
        raise SuspectError(f"{len(answers)} answers have {len(sizes)} sizes", "They must be of one size.")
    return np.stack(pictures)
