"""Which samples carry which mark, decided by the key before any mark is looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from protect.alignments import make_alignment
from protect.alignments.alignment import Draw
from protect.errors import InputError
from protect.evidence import reachable
from protect.files import canonical_json
from protect.formats.dataset_format import Sample
from protect.keys.tree import prf_rng
from protect.marks import make_family
from protect.marks.family import FamilyOptions
from protect.release.record import Plan, Release, Slot, release_id

STEPS = (1, 1_000)
GUIDANCE = (1.0, 50.0)


def check_range(name: str, value: float | None, low: float, high: float) -> None:
    """Refuse a value outside [low, high]; None stands for a default.

    Raises:
        InputError: naming the value and the allowed range.
    """
    if value is not None and not low <= value <= high:
        raise InputError(f"{name} {value} is out of range", f"Allowed: {low:g} to {high:g}.")


@dataclass(frozen=True, slots=True)
class Options:
    """What the owner decides; the defaults are the recommended release."""

    rate: float = 0.02
    family: str = "template"
    alignment: str = ""
    """Name; empty for what suits the family."""
    family_options: FamilyOptions = field(default_factory=dict)
    slots: int | None = None
    queries: int | None = None
    decoys: int = 9_999
    alpha: float = 1e-3
    steps: int = 20
    guidance: float = 3.0

    @property
    def way(self) -> str:
        """Name of the alignment: `twa-double` unless told otherwise, or `twa` for marks that nobody can describe."""
        described = bool(make_family(self.family, self.family_options).descriptions) if not self.alignment else False
        return self.alignment or ("twa-double" if described else "twa")

    def settled(self) -> dict[str, Any]:
        """All values by name, the alignment's written out: what a resumed run compares itself with."""
        return asdict(self) | {"alignment": self.way}

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises:
            InputError: naming the value and the allowed range.
        """
        check_range("--rate", self.rate, 1e-6, 1.0)
        check_range("--slots", self.slots, 1, 64)
        check_range("--queries", self.queries, 1, 10_000)
        check_range("--decoys", self.decoys, 99, 1_000_000)
        check_range("--alpha", self.alpha, 1e-9, 0.5)
        check_range("--steps", self.steps, *STEPS)
        check_range("--guidance", self.guidance, *GUIDANCE)


RECOMMENDED = Options()
"""What commands take unless told otherwise."""
AUTO = "[twa-double, or twa for marks that cannot be described]"
"""How commands name the usual alignment."""


def draft_release(
    name: str, samples: Sequence[Sample], draws: Sequence[Draw], options: Options, secret: bytes, salt: bytes,
    created: datetime, rehearsal: bool = False,
) -> Release:  # fmt: skip
    """Everything of a release but its carriers' files: plan, id, triggers and questions.

    Args:
        name: how people call the release.
        samples: all captioned samples.
        draws: triggers and carriers of the slots.
        options: the owner's decisions.
        secret: 32 bytes.
        salt: 16 bytes.
        created: time of the commitment.
        rehearsal: whether the secret is a throw-away.
    """
    family, alignment = make_family(options.family, options.family_options), make_alignment(options.way)
    decoys = alignment.decoys(samples, options.decoys)
    distinct = None if alignment.for_classifiers else family.distinct
    if not reachable(decoys, len(draws), 1 / options.alpha, distinct):
        raise InputError(
            f"{len(draws)} slot(s) with {decoys} decoys"
            + (f" from {distinct} marks" if distinct else "")
            + f" cannot give evidence at alpha {options.alpha:g}",
            "Use more --slots, a larger --alpha or "
            + (
                "more classes."
                if alignment.for_classifiers
                else "a larger pool."
                if distinct and distinct <= decoys
                else "more --decoys."
            ),
        )
    plan = Plan(
        family=family.name,
        family_options=dict(options.family_options),
        family_version=family.version,
        alignment=alignment.label,
        rate=options.rate,
        slots=len(draws),
        carriers=sum(len(draw.carriers) for draw in draws),
        dataset_sha256=dataset_digest(samples),
        decoys=decoys,
        alpha=options.alpha,
        queries=options.queries or family.queries,
        steps=options.steps,
        guidance=options.guidance,
    )
    slots = tuple(
        Slot(
            draw.trigger,
            slot_prompts(secret, k, [c.caption for c in draw.carriers], plan.queries),
            slot_seeds(secret, k, plan.queries),
        )
        for k, draw in enumerate(draws)
    )
    draft = Release(
        id="",
        name=name,
        created=created.astimezone(UTC).isoformat(timespec="seconds"),
        secret=secret,
        salt=salt,
        plan=plan,
        slots=slots,
        carriers=(),
        rehearsal=rehearsal,
    )
    return replace(draft, id=release_id(draft.commitment))


def slot_prompts(secret: bytes, slot: int, captions: Sequence[str], count: int) -> tuple[str, ...]:
    """Captions for a slot's questions: those of its own carriers, in an order of their own, over and over.

    What was trained together is recalled together. Which samples are carriers does not depend on any mark, so
    neither do the questions.
    """
    order = prf_rng(secret, "prompts", slot).permutation(len(captions))
    return tuple(captions[order[i % len(captions)]] for i in range(count))


def slot_seeds(secret: bytes, slot: int, count: int) -> tuple[int, ...]:
    """32-bit sampling seeds for a slot's questions."""
    rng = prf_rng(secret, "seeds", slot)
    return tuple(int(seed) for seed in rng.integers(0, 2**32, count))


def dataset_digest(samples: Sequence[Sample]) -> str:
    """SHA-256 over all keys and captions."""
    return hashlib.sha256(canonical_json([[s.key, s.caption] for s in samples])).hexdigest()
