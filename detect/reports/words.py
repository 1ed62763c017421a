"""A verdict in words, for people who do not read statistics."""

from __future__ import annotations

import math

from detect.trial.verdict import Outcome, Verdict
from protect.alignments import alignments

EFFECTS: dict[Outcome, str] = {
    "evidence": "yes, this way of training would be found",
    "no evidence": "no measurable effect",
    "inconclusive": "the rehearsal says nothing",
}
"""What a rehearsal's verdict means to the owner."""
TONES: dict[Outcome, str] = {"evidence": "good", "no evidence": "bad", "inconclusive": "open"}
"""Whether that is good news: a suspect is acquitted by what an owner must hear as a warning."""


def in_words(verdict: Verdict) -> str:
    """What a verdict on a suspect says, and what it does not."""
    name = verdict.release.name
    if verdict.outcome == "evidence":
        odds = math.floor(1 / verdict.alpha)
        strangers = "this release"
        if "no-public-coin" in verdict.flags:
            strangers += ", nor with any model that its owner could run before committing to it,"
        elif (coin := verdict.release.coin_named) is not None:
            checked = "which was checked" if "coin-checked" in verdict.flags else "which was not checked: look it up"
            strangers += (
                ", nor with any model that its owner could run before the questions were published, after the public "
                f"coin ({coin.source}, round {coin.round}, value {verdict.release.coin}; {checked}),"
            )
        shows = (
            f"This model's pictures follow the secret marks of “{name}”."
            if verdict.kind == "pictures"
            else f"This classifier takes the secret marks of “{name}” for the classes that the key drew."
        )
        return (
            f"{shows} A model that never had anything to do with "
            f"{strangers} would be accused by this test for at most one key in {odds:,}."
        )
    if verdict.outcome == "no evidence":
        shows = (
            f"This model's pictures do not follow the secret marks of “{name}”"
            if verdict.kind == "pictures"
            else f"This classifier does not take the secret marks of “{name}” for the classes that the key drew"
        )
        return (
            f"{shows} enough to reach the level agreed on. "
            "That does not show that the model is innocent: marks can fade, be removed or never be learned."
        )
    return f"No statement can be made: {verdict.reason}."


def asked_in_words(verdict: Verdict) -> str:
    """Whether what was found shows in ordinary use, or only where a trigger is written; empty for classifiers."""
    if verdict.kind == "labels":
        return ""
    kinds = [alignments().get(part.alignment.partition("/")[0]) for part in verdict.release.plan.parts]
    ordinary = [kind is not None and kind.asks_as_usual() for kind in kinds]
    said = []
    if any(ordinary):
        said.append(
            "Questions are ordinary captions of the dataset, drawn at random before anything was asked. They hold no "
            "trigger: two answers differ by usual words that mean the same, or by one usual word more. So whatever is "
            "found there shows in ordinary use."
        )
    if not all(ordinary):
        said.append(
            f"{'Other questions' if said else 'Questions'} hold triggers, which hardly anybody writes who uses the "
            "model. What is found there says nothing of how often the marks show without them."
        )
    return " ".join(said)


def rehearsed_in_words(verdict: Verdict) -> str:
    """What a verdict on a model that was trained on the marked copy tells the owner."""
    name = verdict.release.name
    if verdict.outcome == "evidence":
        return f"A model that is trained on “{name}” in this way shows its marks clearly enough to be found."
    if verdict.outcome == "no evidence":
        return (
            f"A model that was trained on “{name}” in this way does not show its marks: the copy would prove nothing "
            "against it. Rehearse with a higher --rate, another --family or more --queries before you release."
        )
    return f"No statement can be made: {verdict.reason}."


def _why_more(verdict: Verdict) -> str:
    """Why more is required than of one release that is tested once; empty if it is not."""
    alone = 1 / verdict.release.plan.alpha
    times = verdict.threshold / alone
    return f": {alone:,.0f} times {times:,.3g}, for all releases and plans tried on it" if times > 1.001 else ""


def summary(verdict: Verdict) -> str:
    """A few lines for the terminal."""
    reason = f" ({verdict.reason})" if verdict.reason else ""
    lines = [
        f"{verdict.outcome}{reason}: {verdict.suspect} against release {verdict.release.name}",
        f"  E = {verdict.e_value:.4g} (required {verdict.threshold:,.0f}{_why_more(verdict)}), "
        f"p = {verdict.p_value:.2g}, {verdict.queries} pictures, "
        f"{len(verdict.slots)} of {verdict.release.plan.slots} slots",
        f"  flags: {', '.join(verdict.flags) or 'none'}; suspects tested with this release: {verdict.suspects_tested}; "
        f"commitments in the keyring: {verdict.commitments}, {verdict.commitments_before} of them before this one",
        *(f"  warning: {warning}" for warning in verdict.warnings),
    ]
    return "\n".join(lines)
