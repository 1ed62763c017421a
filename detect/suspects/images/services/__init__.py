"""Text-to-image services: one file for each kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from detect.suspects.address import check_address, key_from_environment
from detect.suspects.client import Client
from detect.suspects.images.services import a1111, comfyui, openai
from detect.suspects.images.services.service import NOTHING_SAID, ServiceSuspect, Settings
from detect.suspects.reply import USUAL_LIMITS, Limits
from protect.errors import InputError

__all__ = ["KINDS", "Limits", "ServiceSuspect", "Settings", "load_service"]

KINDS: dict[str, type[ServiceSuspect]] = {
    kind.kind: kind for kind in (openai.OpenAISuspect, a1111.A1111Suspect, comfyui.ComfyUISuspect)
}
"""By what `--service` calls them."""
_ENDS = {"/images/generations": "openai", "/sdapi/v1": "a1111", a1111.PATH: "a1111", "/prompt": "comfyui"}
"""Ends of paths that no other kind of service has."""


def load_service(
    address: str,
    kind: str = "",
    settings: Settings = NOTHING_SAID,
    limits: Limits = USUAL_LIMITS,
    say: Callable[[str], None] = lambda text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> ServiceSuspect:
    """A suspect behind an address; its key comes from the environment. Asks nothing yet.

    Args:
        address: http or https.
        kind: one of `KINDS`; guessed from the address's path if empty.
        settings: what else is known of it.
        limits: what it may cost.
        say: told in words whenever a request is repeated.
        sleep: waits so many seconds before one is.

    Raises:
        InputError: if the address, the key or the settings cannot be used.
    """
    address = check_address(address)
    found = KINDS.get(kind or _guessed(address))
    if found is None:
        raise InputError(f"it is not known what kind of service {address} is", f"Give --service {'|'.join(KINDS)}.")
    key = key_from_environment(address)
    return found(Client(address, key, limits, basic=found is not openai.OpenAISuspect, say=say, sleep=sleep), settings)


def _guessed(address: str) -> str:
    path = urlsplit(address).path
    return next((kind for end, kind in _ENDS.items() if path.endswith(end)), "")
