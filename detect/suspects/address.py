"""Addresses of services and the key that opens them: what is refused before a byte is sent."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from protect.errors import InputError

KEY_VARIABLE = "TRACEMARK_SERVICE_KEY"
"""Environment variable that holds the key of the suspect's service."""
_FROM_ENVIRONMENT = f"Keys stay out of addresses and shell histories: set {KEY_VARIABLE} in the environment."
_HARMLESS_PARAMETERS = frozenset({"api-version"})
_LOOKS_SECRET = re.compile(r"(sk|pk|rk|hf|r8|key|token|bearer)[-_][\w-]{12,}", re.IGNORECASE)
_SHORTEST_SECRET = 4
"""Shorter words of a key are no secret worth hiding, and hiding them would make texts unreadable."""
_HIDDEN = "[key]"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A key; it never shows itself, not in a repr either."""

    value: str

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN})"

    def header(self, *, basic: bool) -> str:
        """The value of an `Authorization` header.

        Args:
            basic: whether a key of the form USER:PASSWORD is sent as such; else it is a bearer token.
        """
        if basic and ":" in self.value:
            return f"Basic {self._encoded}"
        return f"Bearer {self.value}"

    def hidden(self, text: str) -> str:
        """`text` without the key, its parts and its encoded forms."""
        forms = {self.value, quote(self.value, safe=""), self._encoded, *self.value.split(":")}
        for form in sorted(forms, key=len, reverse=True):
            if len(form) >= _SHORTEST_SECRET:
                text = text.replace(form, _HIDDEN)
        return text

    @property
    def _encoded(self) -> str:
        return base64.b64encode(self.value.encode()).decode()


def key_from_environment(address: str) -> Secret | None:
    """The key of the service at an address; None if none is set.

    Raises:
        InputError: if it cannot be a header, or would cross a network in the clear.
    """
    value = os.environ.get(KEY_VARIABLE, "").strip()
    if not value:
        return None
    if not (value.isascii() and value.isprintable()):
        raise InputError(f"{KEY_VARIABLE} holds characters that no key has", "Set it again, without line breaks.")
    if urlsplit(address).scheme == "http" and not is_loopback(address):
        raise InputError(
            f"{KEY_VARIABLE} is set, and {address} would get it in the clear",
            "Use an https address, a tunnel to 127.0.0.1, or unset the key.",
        )
    return Secret(value)


def is_address(text: str) -> bool:
    """Whether a text is meant as an address rather than a path."""
    return "://" in text


def check_address(text: str) -> str:
    """An http or https address without anything secret in it, and without a slash at its end.

    Raises:
        InputError: if it is none, or holds a key; the key is not repeated.
    """
    parts = _split(text)
    if parts.username is not None or parts.password is not None:
        raise InputError(f"the address of {parts.hostname} holds a user name or a password", _FROM_ENVIRONMENT)
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _HARMLESS_PARAMETERS:
            raise InputError(f"the address of {parts.hostname} has a parameter {name[:40]!r}", _FROM_ENVIRONMENT)
    if _LOOKS_SECRET.search(parts.path) or _LOOKS_SECRET.search(parts.query) or parts.fragment:
        raise InputError(f"the address of {parts.hostname} holds what looks like a key", _FROM_ENVIRONMENT)
    return parts._replace(path=parts.path.rstrip("/")).geturl()


def _split(text: str) -> SplitResult:
    if not is_address(text):
        raise InputError(f"{text} has no scheme", f"Write the whole address, for example https://{text}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise InputError("the address has a host or a port that cannot be", "Write https://HOST:PORT/PATH.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise InputError(f"an address with scheme {parts.scheme!r} is no web service", "Write https://HOST/PATH.")
    return parts


def origin(address: str) -> tuple[str, str, int]:
    """Scheme, host and port: what a key belongs to."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def is_loopback(address: str) -> bool:
    """Whether an address means this machine, so that nothing crosses a network."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
