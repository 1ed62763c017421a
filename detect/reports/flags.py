"""Every flag of a verdict in one line, for people."""

from __future__ import annotations

from collections.abc import Sequence

from detect.trial.transcript import BLANKED, REFUSED, RESIZED
from protect.keys.coin import CHECKED, NO_PUBLIC_COIN, NOT_CHECKED, ON_REQUEST

FURTHER_PLAN = "further-plan-"
"""What flags of further looks begin with; the number of the look follows."""
LINES = {
    NO_PUBLIC_COIN: "No public randomness entered the marks: the bound holds only for models that do not depend on "
    "anything which the owner could run before committing.",
    CHECKED: "The coin is the public value that the commitment named beforehand. The questions follow it: they were "
    "fixed when their digest was published.",
    ON_REQUEST: "The coin is a timestamp authority's signature: every further request would have been another draw.",
    NOT_CHECKED: "The commitment names public randomness whose value was not checked here: look it up.",
    "throw-away-key": "The key was made for a demo or a rehearsal: this verdict counts against nobody else.",
    "control": "A model that cannot have seen the release was asked the same; evidence there would have made this "
    "verdict inconclusive.",
    "reference": "The answers of another model to the same questions were taken off first; it makes the test sharper "
    "and the bound no weaker.",
    "answers-gone": "Some answers are not at hand any more; what they showed is known from the ledger.",
    "owner-collected": "The owner collected answers: nobody else can draw them again and compare.",
    "lossy": "Answers came in a format that loses detail, such as JPEG: faint marks show less in them.",
    "prompt-rewritten": "The provider changed prompts before the model read them: triggers may have been lost.",
    "no-seeds": "The service takes no seeds: answers with and without a trigger differ by chance too.",
    REFUSED: "Some questions were refused: lean and shade leave each out with its pair, other families take it for a "
    "black picture.",
    BLANKED: "Some answers are of one colour, as safety checkers make them: they show nothing. lean and shade leave "
    "black, white and grey ones out with their pairs.",
    RESIZED: "Some answers had another size than was asked for or than most have: they were scaled.",
}
"""What each flag says."""


def flag_lines(flags: Sequence[str]) -> list[tuple[str, str]]:
    """Each flag with its line."""
    return [(flag, _line(flag)) for flag in flags]


def _line(flag: str) -> str:
    if flag.startswith(FURTHER_PLAN):
        number = int(flag.removeprefix(FURTHER_PLAN))
        return (
            f"Further look {number} at this suspect: it had to give {2**number:,} times the evidence of the first, and "
            "must not be chosen by results."
        )
    return LINES[flag]
