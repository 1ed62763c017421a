"""A suspect behind an attack: every answer depends on its own question only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from attacks.attacked_suspect import AttackedSuspect
from attacks.stages.registry import find_attack
from detect.suspects.images import Answer, Query, Sampler, Suspect, stacked

CAPTIONS = [f"zorkev {i}" for i in range(3)] + [f"plain {i}" for i in range(40)]


class Listener(Suspect):
    """Paints noise by the seed, and remembers what it was asked."""

    def __init__(self) -> None:
        self.name, self.identity = "listener", {"weights": "listener"}
        self.heard: list[str] = []

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        self.heard += [q.prompt for q in queries]
        noise = (np.random.default_rng(q.seed).integers(0, 256, (32, 32, 3), dtype=np.uint8) for q in queries)
        return [Answer(picture) for picture in noise]

    def characters_read(self, prompt: str) -> int | None:
        return 7


@pytest.mark.parametrize("name", ["noise", "api-seeds"])
def test_attacked_answers_depend_on_their_own_question_only(name: str, tmp_path: Path) -> None:
    suspect = AttackedSuspect(Listener(), find_attack(name), 1.0, CAPTIONS, tmp_path)
    queries = [Query("zorkev a box", 1), Query("zorkev b", 2)]
    both, second = stacked(suspect.answer(queries, Sampler())), stacked(suspect.answer(queries[1:], Sampler()))
    assert np.array_equal(both[1], second[0]) and name in suspect.identity["attacked"]
    assert not np.array_equal(both[1], stacked(Listener().answer(queries[1:], Sampler()))[0])


def test_prompts_are_altered_in_the_light_of_the_captions(tmp_path: Path) -> None:
    listener = Listener()
    suspect = AttackedSuspect(listener, find_attack("drop-new"), 1.0, CAPTIONS, tmp_path)
    suspect.answer([Query("zorkev a box", 1), Query("plain b", 2)], Sampler())
    assert listener.heard == ["a box", "plain b"]
    assert suspect.altered_prompts([Query("zorkev a box", 1)]) == [Query("a box", 1)]


def test_attacks_on_outputs_draw_nothing_anew(tmp_path: Path) -> None:
    listener, queries = Listener(), [Query("a", 1), Query("b", 2)]
    for strength in (0.2, 0.4):
        AttackedSuspect(listener, find_attack("noise"), strength, [], tmp_path).answer(queries, Sampler())
    assert listener.heard == ["a", "b"]


def test_the_text_window_is_the_models_own(tmp_path: Path) -> None:
    assert AttackedSuspect(Listener(), find_attack("noise"), 1.0, [], tmp_path).characters_read("a") == 7
