"""What every text-to-image service has in common: an address, a size that is asked for, and one answer a request."""

from __future__ import annotations

import base64
import binascii
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from detect.suspects.address import origin
from detect.suspects.client import Client
from detect.suspects.images.decoding import read_answer
from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect
from detect.suspects.reply import PassingTrouble, Tally
from protect.errors import SuspectError
from protect.names import known_as
from protect.pixels.error import PictureError

MOST_WORDS = 4_000
"""Characters kept of a rewritten prompt."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the owner says about a service besides its address."""

    model: str = ""
    """Which of the service's models; empty for the one it takes by itself."""
    size: tuple[int, int] | None = None
    """Width and height to ask for; None for what is usual there."""
    workflow: str = ""
    """A ComfyUI workflow in API format, as JSON with placeholders."""


NOTHING_SAID = Settings()
"""What is usual there."""


class ServiceSuspect(Suspect):
    """A text-to-image model behind an address; every answer is one request, or a few.

    Args:
        client: of the service.
        settings: what else is known of it.
    """

    kind: str
    """What `--service` calls it."""
    usual_size: tuple[int, int] | None
    """Width and height asked for unless told otherwise."""
    at_once = 1
    """Each answer was paid for: it is kept before the next one is asked for."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self.name = settings.model or client.address.partition("://")[2]
        # What runs behind an address may change unnoticed: its name is all that can be told.
        # Scheme, host and port in their one spelling: a path could be written in many ways, each a suspect of its own.
        called = f"{origin(client.address)} {known_as(settings.model)}"
        self.identity = {
            "weights": sha256(called.encode()).hexdigest(),
            "url": client.address,
            "service": self.kind,
        }
        if settings.model:
            self.identity["model"] = settings.model
        if self.size_asked:
            self.identity["size"] = "{}x{}".format(*self.size_asked)

    @property
    def size_asked(self) -> tuple[int, int] | None:
        """Width and height that are asked for; None if that is left to the service."""
        return self._settings.size or self.usual_size

    @property
    def tally(self) -> Tally:
        """What was spent so far."""
        return self._client.tally

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        """One request after another (see `Suspect.answer`)."""
        return [self._counted(self.ask(query, sampler)) for query in queries]

    @abstractmethod
    def ask(self, query: Query, sampler: Sampler) -> Answer:
        """Put one question.

        Raises:
            SuspectError: if the service does not answer.
        """

    def _counted(self, answer: Answer) -> Answer:
        self.tally.pictures += answer.picture is not None
        self.tally.refusals += answer.picture is None
        return answer

    def _pictured(self, data: bytes, prompt: str, used: str = "", flags: tuple[str, ...] = ()) -> Answer:
        """The answer that a picture file is.

        Args:
            data: the file.
            prompt: as it was sent.
            used: the prompt as the provider says it used it; empty if it does not say.
            flags: what is known of the answer already.

        Raises:
            PassingTrouble: if it is no whole picture.
            SuspectError: if it is too large: there is no use in asking for it again.
        """
        try:
            picture, lossy = read_answer(data)
        except PictureError as error:
            if "more than" in error.what:
                raise SuspectError(
                    f"{self._client.address} answers with {error.what}", "Ask for smaller pictures: --size."
                ) from None
            raise PassingTrouble(f"no picture ({error.what})") from None
        height, width = picture.shape[:2]
        rewritten = bool(used) and used.split() != prompt.split()
        other_size = self.size_asked not in (None, (width, height))
        found = {"lossy": lossy, "size-changed": other_size, "prompt-rewritten": rewritten}
        note = self._client.foreign(used, MOST_WORDS) if rewritten else ""
        return Answer(picture, (*flags, *(name for name, so in found.items() if so)), note)

    def _refused(self, reason: str, flags: tuple[str, ...] = ()) -> Answer:
        return Answer(None, ("refused", *flags), self._client.foreign(reason))


def from_base64(text: object) -> bytes:
    """The bytes of a picture sent in JSON, with or without a `data:` prefix.

    Raises:
        PassingTrouble: if it is none, or not whole.
    """
    if not isinstance(text, str) or not text:
        raise PassingTrouble("no picture in the answer")
    try:
        return base64.b64decode(text.rpartition(",")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError):
        raise PassingTrouble("half a picture") from None


def complete(address: str, path: str) -> str:
    """The address of a service's endpoint, whatever part of it the owner gave.

    Args:
        address: as given, without a slash at its end.
        path: of the endpoint, from the service's base.

    Example:
        >>> complete("https://a.org/v1", "/v1/images/generations")
        'https://a.org/v1/images/generations'
    """
    base, mark, query = address.partition("?")
    parts = path.split("/")
    given = next(n for n in range(len(parts), 0, -1) if base.endswith("/".join(parts[:n])))
    return base + path[len("/".join(parts[:given])) :] + mark + query
