"""A suspect behind an attack on what it is asked or on what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from attacks.stages.attack import Attack
from detect.suspects.images import Answer, Query, Sampler, Suspect
from detect.trial.answers import cached_answers
from protect.keys.tree import prf_rng


class AttackedSuspect(Suspect):
    """A suspect whose prompts, settings or outputs are altered on their way.

    Args:
        suspect: the model itself; its own outputs are cached, so attacks on them cost no drawing.
        attack: on prompts, on whole questions or on outputs.
        strength: of the attack.
        captions: what a caption attack on prompts compares them with.
        cache: folder for the model's own outputs.
    """

    def __init__(self, suspect: Suspect, attack: Attack, strength: float, captions: Sequence[str], cache: Path) -> None:
        self._suspect, self._attack, self._strength = suspect, attack, strength
        self._captions, self._cache = list(captions), cache
        self.name = f"{suspect.name}, {attack.name} {strength:g}"
        self.identity = suspect.identity | {"attacked": f"{attack.stage} {attack.name} {strength!r}"}

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        """Pictures as the thief lets them out; each depends on its own question only."""
        asked, used = self._attack.on_questions(self.altered_prompts(queries), sampler, self._strength)
        drawn = cached_answers(self._suspect, asked, used, self._cache)
        return [self._let_out(answer, query) for answer, query in zip(drawn, queries, strict=True)]

    def _let_out(self, answer: Answer, query: Query) -> Answer:
        if answer.picture is None:
            return answer
        return replace(answer, picture=self._attack.on_output(answer.picture, self._strength, _rng(query)))

    def altered_prompts(self, queries: Sequence[Query]) -> list[Query]:
        """Questions with their prompts as the model gets to see them."""
        return [
            Query(self._attack.on_prompt(q.prompt, self._captions, self._strength, _rng(q)), q.seed) for q in queries
        ]

    def characters_read(self, prompt: str) -> int | None:
        """What fits into the text window of the model itself."""
        return self._suspect.characters_read(prompt)


def _rng(query: Query) -> np.random.Generator:
    """A question's own randomness."""
    return prf_rng(query.prompt.encode() + b"\0", "attacked", query.seed)
