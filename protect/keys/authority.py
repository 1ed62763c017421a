"""Asking a timestamp authority over HTTP, in bounded time."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from protect.errors import InputError

SECONDS = 30.0
"""How long an authority is waited for, in all."""
LARGEST = 1 << 20
"""Bytes of a reply at most."""
_KINDS = {"application/timestamp-reply", "application/octet-stream"}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A request that was sent elsewhere would be asked as GET, without its body."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never."""


def check_address(address: str) -> None:
    """Refuse what is not an address on the web.

    Raises:
        InputError: naming it.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(
            f"{address!r} is not the address of a timestamp authority", "Give one that begins with http:// or https://."
        )


def ask(address: str, body: bytes, seconds: float = SECONDS) -> bytes:
    """Send a timestamp request; the reply as it came.

    Args:
        address: of the authority, http or https.
        body: the request.
        seconds: after which it is given up, however slowly the reply trickles.

    Raises:
        InputError: if the address cannot be reached, does not answer in time, or answers with something else.
    """
    check_address(address)
    request = urllib.request.Request(
        address, data=body, headers={"Content-Type": "application/timestamp-query", "User-Agent": "tracemark"}
    )
    found: list[bytes | Exception] = []

    def work() -> None:
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds) as reply:
                found.append(_body(reply))
        except Exception as error:  # told to whoever waits
            found.append(error)

    _run_for(seconds, work)
    if not found or isinstance(found[0], TimeoutError):
        raise InputError(f"{address} did not answer within {seconds:g} seconds", "Try again, or ask another authority.")
    if isinstance(found[0], Exception):
        raise _refusal(address, found[0])
    return found[0]


def _run_for(seconds: float, work: Callable[[], None]) -> None:
    """Run `work` for some seconds at most; what goes on longer is left behind and ends with the program."""
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)


def _body(reply: Any) -> bytes:
    kind = reply.headers.get_content_type()
    data = bytes(reply.read(LARGEST + 1))
    if kind not in _KINDS or len(data) > LARGEST:
        size = f"more than {LARGEST:,}" if len(data) > LARGEST else f"{len(data):,}"
        raise InputError(f"{size} bytes of {kind}", "")
    return data


def _refusal(address: str, error: Exception) -> InputError:
    if isinstance(error, InputError):
        return InputError(f"{address} answered with {error.what}, no timestamp", "Check the address.")
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it holds the connection
        to = error.headers.get("Location")
        return InputError(
            f"{address} answered {error.code} {error.reason}", f"Give the address {to}." if to else "Check the address."
        )
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return InputError(f"{address} did not answer in time", "Try again, or ask another authority.")
    return InputError(f"cannot ask {address}: {reason}", "Check the address and the network.")
