"""Where a public coin decides which pictures carry marks: other coins are tried before one is committed to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from protect.alignments import BUILT_IN
from protect.alignments.alignment import Alignment
from protect.alignments.waa import Waa
from protect.errors import InputError
from protect.keys.tree import KeyTree, secret_from_seed

TRIED = 4
"""Other coins."""


def follow_coin(alignments: Iterable[str]) -> bool:
    """Whether the coin decides how many carriers there are, and which.

    Args:
        alignments: names or labels. For most, carriers follow from the secret alone.
    """
    return any(issubclass(BUILT_IN.get(name.partition("/")[0], Alignment), Waa) for name in alignments)


def try_other_coins(decide: Callable[[KeyTree], object]) -> None:
    """Decide about a release with throw-away keys, as other coins would.

    What the coin chooses may leave a slot without an n-gram, because earlier slots have its samples; without a picture
    that can carry a mark; or with so few that it could hardly be found.

    Args:
        decide: draws everything by the given keys, and refuses what would be refused when the copy is written.

    Raises:
        InputError: if one of them is refused; the coin that is waited for may be like it.
    """
    for number in range(TRIED):
        try:
            decide(KeyTree(secret_from_seed(number, "other coins")))
        except InputError as error:
            raise InputError(f"the coin may choose badly: with another one, {error.what}", error.advice) from None


def what_coin_may_do(alignments: Iterable[str]) -> tuple[str, ...]:
    """Lines that say what may still go wrong when the coin is known; none if nothing can."""
    if not follow_coin(alignments):
        return ()
    return (
        f"  the coin decides which pictures carry marks; {TRIED} others were tried and would do. If it leaves too few,",
        "  protect embed refuses: then commit again, with fewer --slots or another --alignment",
    )
