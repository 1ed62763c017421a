"""What a slot's answers say of recipients: their marks, or their bits of a code, against the slot's decoys."""

from __future__ import annotations

import numpy as np

from detect.trace.code import bets, log_e_values, trust
from detect.trace.evidence import COMPARED, DECOYS, LogEValues, yardstick
from protect.evidence import LAMBDAS
from protect.keys.code import TracingCode
from protect.keys.tree import recipients_draws, slot_seed
from protect.marks.family import Answers
from protect.release.bound import BoundSlot, is_coded
from protect.release.record import Release
from protect.release.tracing import COALITIONS


def log_e_values_of(slot: BoundSlot, answers: Answers, release: Release, serials: range) -> LogEValues | None:
    """E-values of recipients; None if the answers say nothing of anybody.

    Args:
        slot: of the release, not of a recipient: its decoys are in nobody's copy.
        answers: to its questions.
        release: whose copies they are.
        serials: of the recipients.
    """
    if is_coded(slot.family):
        code = TracingCode(release.secret, release.coin, release.plan.slots)
        return by_code(slot, answers, code, serials)
    return by_draws(slot, answers, release, serials)


def by_draws(slot: BoundSlot, answers: Answers, release: Release, serials: range) -> LogEValues | None:
    """E-values of recipients whose copies carry draws of their own (see `log_e_values_of`)."""
    decoys = slot.key.decoys(decoys_of(slot))
    own = recipients_draws(slot_seed(release.secret, slot.number), release.coin, serials, "mark")
    scores = slot.family.score(answers, np.concatenate([decoys, own]))
    compared, found = yardstick(scores[: len(decoys)]), scores[len(decoys) :]
    return (lambda places: compared.log_e_values(found[places])) if compared.rates.any() else None


def by_code(slot: BoundSlot, answers: Answers, code: TracingCode, serials: range) -> LogEValues | None:
    """E-values of recipients whose copies carry the bits of a code (see `log_e_values_of`)."""
    decoys = slot.key.decoys(decoys_of(slot))
    scores = slot.family.score(answers, np.concatenate([code.marks(slot.number), decoys]))
    bias, bits = float(code.bias[slot.number]), code.bits(slot.number, serials)
    trusted = trust(scores[:2], scores[2:], bias)
    return None if trusted == bias else lambda places: log_e_values(bits[places], bias, bets(bias, trusted))


def strengths_of(slot: BoundSlot) -> int:
    """How many products of e-values run side by side."""
    return len(COALITIONS if is_coded(slot.family) else LAMBDAS)


def decoys_of(slot: BoundSlot) -> int:
    """Decoys that recipients are compared with: the plan's, or more."""
    return max(slot.decoy_count, DECOYS)


def best_e_value(slot: BoundSlot) -> float:
    """The largest e-value that can be hoped for: of a mark that beats all decoys but those that are the same mark."""
    if is_coded(slot.family):
        return 2.0
    compared = decoys_of(slot) * COMPARED
    return (compared + 1) / (1 + (compared / slot.family.distinct if slot.family.distinct else 0))
