"""A careful HTTP client for suspects behind an address, classifiers and text-to-image models alike.

It tries again where that can help, waits as long as it is told to, reads no more than it should, follows nobody to
another host, sends the key to one origin only, and repeats nothing that a service says with the key in it.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2

from detect.suspects.address import KEY_VARIABLE, Secret, is_loopback, origin
from detect.suspects.reply import USUAL_LIMITS, Limits, PassingTrouble, Reply, Tally, retry_after
from protect.errors import SuspectError

Result = TypeVar("Result")

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses after which the same request may succeed."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
_LONGEST_PAUSE = 300.0
"""Seconds; whoever is told to wait longer should come back later."""
_FIRST_PAUSE, _MOST_BACKOFF = 0.5, 30.0
_SHOWN = 300
"""Characters of a service's own words in an error."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


class Client:
    """Requests to one service, and for pictures that it keeps elsewhere.

    Args:
        address: of the service, checked (`address.check_address`).
        key: sent to the address's own scheme, host and port, and nowhere else.
        limits: what it may cost.
        basic: whether a key USER:PASSWORD is sent as such.
        sleep: waits so many seconds.
        say: told in words whenever a request is repeated.
    """

    def __init__(
        self,
        address: str,
        key: Secret | None = None,
        limits: Limits = USUAL_LIMITS,
        *,
        basic: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.address, self.tally = address, Tally()
        self._key, self._limits, self._sleep, self._say = key, limits, sleep, say
        self._basic = basic
        self._last = 0.0
        # No proxy for an address that means this machine only here; SSL_CERT_FILE and SSL_CERT_DIR count everywhere.
        self._http = httpx2.Client(
            verify=httpx2.create_ssl_context(),
            timeout=limits.timeout,
            trust_env=not is_loopback(address),
            follow_redirects=False,
        )
        weakref.finalize(self, self._http.close)

    def post(self, url: str, body: bytes, kind: str, read: Callable[[Reply], Result]) -> Result:
        """Send a body and read the answer.

        Args:
            url: of the service's own origin.
            body: its bytes.
            kind: their media type.
            read: makes something of the reply, whatever its status; raises PassingTrouble to have the request repeated.

        Raises:
            SuspectError: if there is no answer in the end.
        """
        return self._call(_Request("POST", url, self._authorization() | {"Content-Type": kind}, body), read)

    def post_json(self, url: str, value: object, read: Callable[[Reply], Result]) -> Result:
        """Send JSON (see `post`)."""
        return self.post(url, json.dumps(value).encode(), "application/json", read)

    def get(self, url: str, read: Callable[[Reply], Result]) -> Result:
        """Read from the service's own origin (see `post`)."""
        return self._call(_Request("GET", url, self._authorization()), read)

    def fetch(self, url: str, read: Callable[[Reply], Result]) -> Result:
        """Read what the service keeps at an address that it gave; another host gets no key (see `post`).

        Raises:
            SuspectError: if the address means something inside this network that the service is not.
        """
        if _origin(url) == origin(self.address):
            return self.get(url, read)
        neighbours = is_loopback(url) and is_loopback(self.address)
        if not neighbours and (urlsplit(url).scheme != "https" or not _is_public(urlsplit(url).hostname or "")):
            raise SuspectError(
                f"{self.address} keeps a picture at an address that is not public https ({_host(url)})",
                "Only https addresses of other public hosts are opened for a service.",
            )
        return self._call(_Request("GET", url, {}), read)

    def _authorization(self) -> dict[str, str]:
        """The header with the key, made anew each time: no attribute shows the key."""
        return {"Authorization": self._key.header(basic=self._basic)} if self._key else {}

    def expect_success(self, reply: Reply) -> Reply:
        """The reply, if its status is one of success.

        Raises:
            SuspectError: otherwise, with what the service said.
        """
        if 200 <= reply.status < 300:
            return reply
        said = self.foreign(reply.body[:4096].decode(errors="replace"))
        if reply.status in (401, 403):
            advice = f"Check the key in {KEY_VARIABLE}." if self._key else f"Set the key: {KEY_VARIABLE}."
        else:
            advice = "Check the address, --service and its settings."
        raise SuspectError(f"{self.address} answers with status {reply.status}: {said}", advice)

    def foreign(self, text: str, most: int = _SHOWN) -> str:
        """A service's own words, without the key, on one line, not too many, and nothing that steers a terminal."""
        words = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
        return (self._key.hidden(words) if self._key else words)[:most]

    def _call(self, request: _Request, read: Callable[[Reply], Result]) -> Result:
        trouble = PassingTrouble("nothing")
        for attempt in range(self._limits.attempts):
            if attempt:
                self._pause(trouble, attempt)
            try:
                reply = self._send(request)
                if reply.status in _PASSING:
                    said = self.foreign(reply.body[:4096].decode(errors="replace"))
                    raise PassingTrouble(f"status {reply.status}: {said}", retry_after(reply.headers))
                return read(reply)
            except PassingTrouble as error:
                trouble = error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                trouble = self._in_words(error)
        raise SuspectError(
            f"{self.address} does not answer after {self._limits.attempts} tries ({trouble.what})",
            "Check the address and the service, then run the command again: answers so far are kept.",
        )

    def _pause(self, trouble: PassingTrouble, attempt: int) -> None:
        pause = min(_FIRST_PAUSE * 2 ** (attempt - 1), _MOST_BACKOFF)
        if trouble.pause is not None:
            pause = max(trouble.pause, _FIRST_PAUSE)
        if pause > _LONGEST_PAUSE:
            raise SuspectError(
                f"{self.address} asks to come back in {pause:,.0f} seconds ({trouble.what})",
                "Run the command again then: answers so far are kept.",
            )
        self._say(f"{_host(self.address)}: {trouble.what}; trying again in {pause:.1f} s")
        self.tally.retries += 1
        self._sleep(pause)

    def _send(self, request: _Request) -> Reply:
        """One request, and those it is redirected to within its origin."""
        for _ in range(_MOST_REDIRECTS):
            reply = self._send_once(request)
            if reply.status not in _REDIRECTS:
                return reply
            target = urljoin(request.url, reply.headers.get("location", ""))
            kept = request.method == "GET" or reply.status in (307, 308)
            if _origin(target) != origin(request.url) or not kept:
                raise SuspectError(
                    f"{self.address} redirects to {_host(target)}", "Give that address itself if you trust it."
                )
            request = _Request(request.method, target, request.headers, request.body)
        raise SuspectError(f"{self.address} redirects in circles", "Check the address.")

    def _send_once(self, request: _Request) -> Reply:
        self._keep_pace()
        self.tally.requests += 1
        headers = {"Accept-Encoding": "identity", **request.headers}
        deadline = time.monotonic() + self._limits.timeout
        with self._http.stream(request.method, request.url, headers=headers, content=request.body) as response:
            body = self._read(response, deadline)
        self.tally.bytes += len(body)
        return Reply(response.status_code, response.headers, body)

    def _read(self, response: httpx2.Response, deadline: float) -> bytes:
        """The body, as far as it may go in size and time."""
        most, body = self._limits.bytes, bytearray()
        if response.headers.get("content-length", "0").isdecimal():
            self._refuse_size(int(response.headers.get("content-length", "0")))
        for piece in response.iter_bytes():
            body += piece
            self._refuse_size(len(body))
            if time.monotonic() > deadline:
                raise PassingTrouble(f"not done after {self._limits.timeout:g} s, {len(body):,} of {most:,} bytes")
        return bytes(body)

    def _refuse_size(self, size: int) -> None:
        if size > self._limits.bytes:
            raise SuspectError(
                f"{self.address} answers with more than {self._limits.bytes >> 20} MiB", "Ask for smaller pictures."
            )

    def _keep_pace(self) -> None:
        if self._limits.per_minute:
            self._sleep(max(0.0, self._last + 60 / self._limits.per_minute - time.monotonic()))
        self._last = time.monotonic()

    def _in_words(self, error: Exception) -> PassingTrouble:
        said = self.foreign(str(error)) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in said:
            raise SuspectError(
                f"{self.address} has a certificate that is not trusted",
                "Check the address; for a certificate of your own, set SSL_CERT_FILE to its authority.",
            ) from None
        if isinstance(error, httpx2.TimeoutException):
            return PassingTrouble(f"silent for {self._limits.timeout:g} s")
        return PassingTrouble(said)


def _origin(url: str) -> tuple[str, str, int]:
    """The origin of an address that a service gave, which may be none."""
    try:
        return origin(url)
    except ValueError:
        raise PassingTrouble("an address that cannot be") from None


def _host(url: str) -> str:
    """Scheme, host and port for messages: addresses given by a service may hold signatures."""
    scheme, host, port = origin(url)
    return f"{scheme}://{host}:{port}"


def _is_public(host: str) -> bool:
    """Whether every machine that a name means can be reached by anyone: a service must not send us into our network."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return True  # a proxy may know it; otherwise the request fails by itself
    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_global for entry in found)
