"""What a trial is, whatever the suspect: which questions there are, and how one slot's are put to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from detect.trial.ledger import Subject
from detect.trial.transcript import Transcript
from protect.formats.record import SetAside
from protect.progress import Progress
from protect.release.bound import BoundRelease

S = TypeVar("S", bound=Subject)


class Trial(ABC, Generic[S]):
    """One release under test, and one kind of suspect."""

    bound: BoundRelease
    reference: Subject | None = None
    """A model whose answers to the same questions are taken off, by families that can."""

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Samples that were to be asked about and cannot be."""
        return ()

    @property
    @abstractmethod
    def plan(self) -> Mapping[str, Any]:
        """What is asked and how, for people and JSON."""

    @property
    @abstractmethod
    def departs(self) -> bool:
        """Whether the plan leaves what was committed to."""

    @abstractmethod
    def name(self, suspect: S) -> str:
        """Name of the plan on this suspect's base and software; equal plans have equal names."""

    @abstractmethod
    def opened(self, suspect: S) -> Transcript:
        """A transcript without any question."""

    @abstractmethod
    def ask(self, suspect: S, transcript: Transcript, slot: int, cache: Path, progress: Progress) -> Transcript:
        """Put a slot's questions; answers that the cache or the transcript holds are not asked for again.

        Args:
            suspect: the model under test, or a control.
            transcript: of the slots before.
            slot: its number.
            cache: folder for answers of all suspects.
            progress: called with (stage, done, total).

        Returns:
            The transcript with this slot, pictures at hand.

        Raises:
            SuspectError: if the suspect cannot be asked.
        """

    @abstractmethod
    def kept(self, suspect: S, transcript: Transcript, slot: int, cache: Path) -> bool:
        """Whether `ask` would not need the suspect."""

    @abstractmethod
    def any_answer(self, suspect: S, cache: Path) -> bool:
        """Whether the suspect ever answered a question of this plan."""

    def for_control(self, control: S) -> Trial[S]:
        """The trial as a control gets it: without a reference that is the control itself."""
        return self
