"""What is known of the age of a bundle's commitment, of its coin and of its questions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from detect.bundle.opening import questions_digest
from detect.bundle.write import OPENING, STAMPS
from protect.errors import TracemarkError
from protect.keys.coin import Committed, judge_coin
from protect.keys.stamps import OF_QUESTIONS, with_questions
from protect.keys.timestamp import Stamp, check_reply, read_certificates
from protect.release.bound import BoundRelease

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def about_time(bound: BoundRelease, files: Mapping[str, bytes], trusted: Sequence[Certificate]) -> list[str]:
    """What is known of the commitment's age and its coin."""
    stamps, lines = _stamps(files, "", bound.release.commitment.encode(), trusted)
    lines += [f"The commitment existed at {stamp.in_words()}, by {_trust(trusted)}." for stamp in stamps]
    if not stamps:
        created = datetime.fromisoformat(bound.release.created)
        lines.append(f"The commitment says it was made on {created:%Y-%m-%d}; no timestamp shows that it is as old.")
    return [*lines, judge_coin(Committed.of(bound.release), stamps).sentence]


def _stamps(
    files: Mapping[str, bytes], kind: str, data: bytes, trusted: Sequence[Certificate]
) -> tuple[list[Stamp], list[str]]:
    """The timestamps of one kind under some data, and what is wrong with others."""
    stamps, lines = list[Stamp](), list[str]()
    for name in sorted(n for n in files if re.fullmatch(rf"{STAMPS}/{kind}\d+\.tsr", n)):
        roots = trusted or read_certificates(files[name.removesuffix(".tsr") + ".pem"], name)
        try:
            stamps.append(check_reply(files[name], data, roots))
        except TracemarkError as error:
            lines.append(f"{name} does not count: {error.what}.")
    return stamps, lines


def _trust(trusted: Sequence[Certificate]) -> str:
    return "roots that you gave" if trusted else "roots in the bundle itself: compare them with the authority's own"


def about_questions(bound: BoundRelease, files: Mapping[str, bytes], trusted: Sequence[Certificate]) -> list[str]:
    """What fixed the questions, and when."""
    if bound.release.questions_committed is not None:
        return ["The commitment itself fixes all questions."]
    digest = questions_digest(files[OPENING])
    stamps, lines = _stamps(files, OF_QUESTIONS, with_questions(bound.release.commitment, digest), trusted)
    lines += [f"The questions existed at {stamp.in_words()}, by {_trust(trusted)}." for stamp in stamps]
    return [
        f"The questions follow the coin, so the first commitment does not fix them: their digest is {digest}.",
        *lines,
        "The verdict counts against models that their owner could not run before "
        + ("that time." if stamps else "that digest was published: find out where and when."),
    ]
