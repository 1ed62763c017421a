"""How the value of a public coin is spelled: in one way, so that no spelling can be chosen."""

from __future__ import annotations

import re

from protect.errors import InputError

COIN_DIGITS = (32, 512)
"""Fewest and most hexadecimal digits of a coin's value."""


def parse_coin_value(text: str) -> str:
    """The one spelling of a coin's value: lower-case hexadecimal, two digits a byte.

    Any freedom of spelling would be a salt that an owner could try until a mark fits.

    >>> parse_coin_value(" 00FF" + 28 * "0" + "\\n")
    '00ff0000000000000000000000000000'

    Raises:
        InputError: if it is anything else.
    """
    value = text.strip().lower()
    if not re.fullmatch("(?:[0-9a-f]{2})+", value) or not COIN_DIGITS[0] <= len(value) <= COIN_DIGITS[1]:
        raise InputError(
            f"--coin {text[:80]!r} is not the value of a public coin",
            f"Give all its bytes in hexadecimal: {COIN_DIGITS[0]} to {COIN_DIGITS[1]} digits and nothing else.",
        )
    return value
