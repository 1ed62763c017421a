"""A suspect behind an attack on what it is asked or on what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attacks.stages.attack import ApiAttack, CaptionAttack, ImageAttack
from detect.suspects.images import Query, Sampler, Suspect
from detect.trial.answers import cached_outputs
from protect.keys.tree import prf_rng


class StruckSuspect(Suspect):
    """A suspect whose prompts, settings or outputs are altered on their way.

    Args:
        suspect: the model itself; its own outputs are cached, so attacks on them cost no drawing.
        attack: on outputs, on prompts, or on the whole of a question.
        strength: of the attack.
        captions: what a caption attack on prompts compares them with.
        cache: folder for the model's own outputs.
    """

    def __init__(
        self,
        suspect: Suspect,
        attack: ImageAttack | CaptionAttack | ApiAttack,
        strength: float,
        captions: Sequence[str],
        cache: Path,
    ) -> None:
        self._suspect, self._attack, self._strength = suspect, attack, strength
        self._captions, self._cache = list(captions), cache
        self.name = f"{suspect.name}, {attack.name} {strength:g}"
        self.identity = suspect.identity | {"struck": f"{attack.kind} {attack.name} {strength!r}"}

    def generate(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        """Pictures as the thief lets them out; each depends on its own question only."""
        attack = self._attack
        asked, used = self.prompted(queries), sampler
        if isinstance(attack, ApiAttack):
            asked, used = attack.apply(queries, sampler, self._strength)
        drawn = cached_outputs(self._suspect, asked, used, self._cache, lambda _: None)
        if not isinstance(attack, ImageAttack):
            return drawn
        return np.stack([attack.apply(p, self._strength, _rng(q)) for p, q in zip(drawn, queries, strict=True)])

    def prompted(self, queries: Sequence[Query]) -> list[Query]:
        """Questions with their prompts as the model gets to see them."""
        attack = self._attack
        if not isinstance(attack, CaptionAttack):
            return list(queries)
        return [Query(attack.apply([*self._captions, q.prompt], self._strength, _rng(q))[-1], q.seed) for q in queries]


def _rng(query: Query) -> np.random.Generator:
    """A question's own randomness."""
    return prf_rng(query.prompt.encode() + b"\0", "struck", query.seed)
