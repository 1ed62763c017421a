"""Suspects that cannot be loaded: services behind an address, and folders of answers; how commands open them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect.suspects.address import is_address
from detect.suspects.images.suspect import Suspect
from detect.suspects.reply import Tally
from protect import console
from protect.errors import InputError, TracemarkError
from protect.keys.keyring import Keyring
from protect.keys.store import Store
from protect.names import known_as
from protect.release.record import Release

if TYPE_CHECKING:
    from detect.asking.sheet import SheetRow
    from detect.suspects.images.collected import CollectedSuspect
    from detect.suspects.images.services import ServiceSuspect
    from detect.trial.questions import Departures

    BlackBox = CollectedSuspect | ServiceSuspect

_OF_SERVICES = ("model", "workflow", "size", "rate_limit", "timeout")
_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?")
_SIDES = (16, 8192)
_PER_MINUTE, _TIMEOUT = (0.01, 60_000.0), (0.1, 86_400.0)


class Service(StrEnum):
    """How a service is spoken to."""

    openai = "openai"
    a1111 = "a1111"
    comfyui = "comfyui"


ServiceOption = Annotated[
    Service | None, typer.Option("--service", help="How to speak to --model URL. [guessed from its path]")
]
ServiceModel = Annotated[str, typer.Option(help="Which of the service's models. [its own choice]")]
WorkflowFile = Annotated[
    Path | None,
    typer.Option("--workflow", help="ComfyUI workflow, exported for the API, with {prompt}, {seed} and so on put in."),
]
PictureSize = Annotated[str, typer.Option("--size", metavar="WxH", help="Size to ask a service for. [what is usual]")]
RateLimit = Annotated[float | None, typer.Option(help="Requests a minute at most, to a service.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds that one request to a service may take. [300]")]
AnswersFolder = Annotated[
    Path | None, typer.Option("--answers", help="Instead of --model: folder of pictures that answer `detect ask`.")
]
SuspectName = Annotated[str, typer.Option("--name", help="Whose answers these are; the same for the same black box.")]


@dataclass(frozen=True, slots=True)
class BlackBoxOptions:
    """What a command was told about a suspect that cannot be loaded."""

    answers: Path | None = None
    name: str = ""
    service: Service | None = None
    model: str = ""
    """Which of the service's models."""
    workflow: Path | None = None
    size: str = ""
    rate_limit: float | None = None
    timeout: float | None = None

    def is_address(self, suspect: str) -> bool:
        """Whether `--model` names a service rather than a path."""
        return self.service is not None or is_address(suspect)

    def check(self, suspect: str, base: Path | None) -> None:
        """Refuse options that do not go together.

        Args:
            suspect: what `--model` was given; empty for nothing.
            base: what `--base` was given.

        Raises:
            InputError: naming the option.
        """
        if bool(suspect) == (self.answers is not None):
            raise InputError("one suspect is tested at a time", "Give either --model or --answers.")
        if self.name and self.answers is None:
            raise InputError("--name is for answers that somebody collected", "Give --answers FOLDER, or drop it.")
        if not self.is_address(suspect):
            for field in _OF_SERVICES:
                if getattr(self, field) not in (None, ""):
                    option = "service-model" if field == "model" else field.replace("_", "-")
                    raise InputError(f"--{option} is for services", "Give --model URL, or drop it.")
            if self.answers is None:
                return
        if base is not None:
            raise InputError("--base is for LoRA files", "To take off what words do to another model: --reference.")

    def open(
        self, suspect: str, releases: Sequence[Release], departures: Departures, store: Store
    ) -> tuple[BlackBox | None, list[Release]]:
        """The black box, and the releases it can be tested with; None for a suspect that can be loaded.

        Args:
            suspect: what `--model` was given.
            releases: those to be tested.
            departures: changes to the committed plan.
            store: holds what the releases' families need.

        Raises:
            InputError: if it cannot be used.
        """
        if self.answers is not None:
            return open_answers(self.answers, self.name, releases, departures, store)
        return (self.open_service(suspect) if self.is_address(suspect) else None), list(releases)

    def open_service(self, address: str) -> ServiceSuspect:
        """The suspect behind an address; repeated requests are told on stderr. Asks nothing yet.

        Raises:
            InputError: if the address or an option cannot be used.
        """
        from detect.suspects.images.services import Limits, Settings, load_service
        from protect.release.plan import check_range

        check_range("--rate-limit", self.rate_limit, *_PER_MINUTE)
        check_range("--timeout", self.timeout, *_TIMEOUT)
        size = parse_size(self.size) if self.size else None
        workflow = console.read_text(self.workflow) if self.workflow else ""
        limits = Limits(per_minute=self.rate_limit)
        if self.timeout is not None:
            limits = replace(limits, timeout=self.timeout)
        kind = self.service.value if self.service else ""
        return load_service(address, kind, Settings(self.model, size, workflow), limits, tell)


@contextmanager
def cost_told(suspect: Suspect, keyring: Keyring, releases: Sequence[Release]) -> Iterator[None]:
    """Say on stderr what a service was asked for, however the block ends, and what a stopped test leaves behind.

    Args:
        suspect: what is asked.
        keyring: holds the ledger, in which a test is entered before its first question and not sooner.
        releases: those under test.
    """
    try:
        yield
    except KeyboardInterrupt:
        tell(_left_behind(suspect, keyring, releases))
        raise
    finally:
        if isinstance(tally := getattr(suspect, "tally", None), Tally):
            tell(f"{suspect.name}: {tally.in_words()}")


def _left_behind(suspect: Suspect, keyring: Keyring, releases: Sequence[Release]) -> str:
    """What a stopped test leaves in the ledger; that the same command goes on is said of all commands."""
    from detect.trial.ledger import looked_at

    names = [release.name for release in releases if looked_at(keyring, release, suspect)]
    if not names:
        return f"stopped before a look at {suspect.name} was entered in the ledger"
    return (
        f"stopped: a look at {suspect.name} is in the ledger ({', '.join(names)}); a command with other options than "
        "began it may be a further look, at half the level or less"
    )


def tell(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from `1024` or `1024x768`.

    Raises:
        InputError: if it is neither, or out of range.

    >>> parse_size("1024x768")
    (1024, 768)
    """
    found = _SIZE.fullmatch(text)
    sides = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in sides):
        raise InputError(f"--size {text} is no size", f"Write WIDTHxHEIGHT in pixels, {_SIDES[0]} to {_SIDES[1]} each.")
    return sides


def open_answers(
    folder: Path, name: str, releases: Sequence[Release], departures: Departures, store: Store
) -> tuple[CollectedSuspect, list[Release]]:
    """A folder of answers, and the releases whose questions it answers.

    Args:
        folder: of pictures.
        name: of the black box.
        releases: those that may have been asked for.
        departures: changes to the committed plan, the same as when the questions were written.
        store: holds what the releases' families need.

    Raises:
        InputError: if the folder answers no release's questions, or not all of one's.
    """
    from detect.suspects.images.collected import CollectedSuspect, questions_answered

    if not known_as(name):
        raise InputError(
            f"{folder} does not say whose answers these are", "Give --name NAME, the same for the same black box."
        )
    rows: list[SheetRow] = []
    chosen: list[Release] = []
    answered = questions_answered(folder)
    trouble: TracemarkError | None = None
    for release in releases:
        try:
            sheet = _sheet(release, departures, store)
        except TracemarkError as error:  # one release's trouble must not end the tests of the others
            trouble = error
            continue
        if answered & {row.file for row in sheet}:
            rows, chosen = rows + sheet, [*chosen, release]
    if not chosen:
        if trouble is not None and len(releases) == 1:
            raise trouble
        raise InputError(
            f"{folder} answers no question of {'this release' if len(releases) == 1 else 'any release'}",
            "Pictures bear the names that detect ask gives their questions, such as q0123456789ab.png.",
        )
    return CollectedSuspect(folder, name, list(dict.fromkeys(rows))), chosen


def _sheet(release: Release, departures: Departures, store: Store) -> list[SheetRow]:
    from detect.asking.sheet import sheet_rows
    from detect.trial.judge import check_testable
    from detect.trial.questions import query_plan
    from protect.release.bound import bind

    check_testable(release)
    return sheet_rows(bind(release, store), query_plan(release, departures))
