"""What a slot's answers say of recipients: their marks, or their bits of a code, against the slot's decoys."""

from __future__ import annotations

import numpy as np

from detect.trace.code import bets, log_e_values, trust
from detect.trace.evidence import COMPARED, DECOYS, LogEValues, yardstick
from protect.keys.code import TracingCode
from protect.keys.tree import recipients_draws, slot_seed
from protect.marks.family import Answers
from protect.release.bound import BoundSlot
from protect.release.record import Release


def by_draws(slot: BoundSlot, answers: Answers, release: Release, serials: range) -> LogEValues | None:
    """E-values of recipients whose copies carry draws of their own; None if the answers say nothing of anybody.

    Args:
        slot: with the law of its marks.
        answers: to its questions.
        release: whose copies they are.
        serials: of the recipients.
    """
    decoys = slot.key.decoys(decoys_of(slot))
    own = recipients_draws(slot_seed(release.secret, slot.number), release.coin, serials, "mark")
    scores = slot.family.score(answers, np.concatenate([decoys, own]))
    compared, found = yardstick(scores[: len(decoys)]), scores[len(decoys) :]
    return (lambda places: compared.log_e_values(found[places])) if compared.rates.any() else None


def by_code(slot: BoundSlot, answers: Answers, code: TracingCode, serials: range) -> LogEValues | None:
    """E-values of recipients whose copies carry the bits of a code; None if the answers say nothing of anybody."""
    decoys = slot.key.decoys(decoys_of(slot))
    scores = slot.family.score(answers, np.concatenate([code.marks(slot.number), decoys]))
    bias, bits = float(code.bias[slot.number]), code.bits(slot.number, serials)
    trusted = trust(scores[:2], scores[2:], bias)
    return None if trusted == bias else lambda places: log_e_values(bits[places], bias, bets(bias, trusted))


def decoys_of(slot: BoundSlot) -> int:
    """Decoys that recipients are compared with: the plan's, or more."""
    return max(slot.decoy_count, DECOYS)


def best_e_value(slot: BoundSlot) -> float:
    """The largest e-value that a draw can reach: it beats all decoys but those that are the same mark."""
    compared = decoys_of(slot) * COMPARED
    return (compared + 1) / (1 + (compared / slot.family.distinct if slot.family.distinct else 0))
