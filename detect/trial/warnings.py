"""What a reader must know of the answers, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping

from detect.trial.transcript import BLANKED, REFUSED, RESIZED

FLAGS = {
    "owner-collected": "{n} of {all} answers were collected by the owner: nobody else can draw them again and compare.",
    "lossy": "{n} of {all} answers came in a format that loses detail, such as JPEG: faint marks show less in them.",
    "prompt-rewritten": "In {n} of {all} answers the provider changed the prompt before the model read it: a trigger "
    "may have been lost on the way.",
    "no-seeds": "{n} of {all} answers come from a service that takes no seeds: those with and without a trigger differ "
    "by chance too, so comparing them shows less; p and E are as exact as ever.",
    REFUSED: "{n} of {all} questions were refused: lean and shade leave each out with its pair, other families take it "
    "for a black picture.",
    BLANKED: "{n} of {all} answers are of one colour, as safety checkers make them: they show nothing. lean and shade "
    "leave black, white and grey ones out with their pairs.",
    RESIZED: "{n} of {all} answers had another size than was asked for or than most have: they were scaled.",
}
"""Of each flag."""


def in_sentences(
    flags: Mapping[str, int], planned: int, truncated: int | None, asked: int, gone: int
) -> tuple[str, ...]:
    """Sentences about the answers that a verdict rests on.

    Args:
        flags: of how many answers each is true.
        planned: all answers, refusals among them.
        truncated: questions whose trigger lies beyond the text window; None if not known.
        asked: questions with a trigger.
        gone: slots whose answers are not at hand any more.
    """
    found = []
    if truncated:
        found.append(
            f"In {truncated} of {asked} questions the trigger, or a part of it, lies beyond the suspect's text window: "
            "the suspect never read it. These captions are too long for this suspect."
        )
    found += [text.format(n=flags[name], all=planned) for name, text in FLAGS.items() if flags.get(name)]
    if gone:
        found.append(
            f"The answers of {gone} slot(s) are not in the cache any more. They were scored before, and the ledger "
            "says what was found; they are not drawn again."
        )
    return tuple(found)
