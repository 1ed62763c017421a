"""Verdicts about words: one set of pictures for all slots, and a reference whose words are taken off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detect.suspects.images.suspect import Query, Suspect
from detect.trial.judge import detect
from detect.trial.questions import Departures
from detect.trial.survey import survey
from protect.embed.write import embed
from protect.errors import InputError
from protect.keys.keyring import Keyring
from protect.marks.lean import Lean
from protect.release.bound import BoundRelease
from tests.support.lean_releases import COUNT, SECRET, WORDING, direction_of, site_of, with_list
from tests.support.leaning import make_varied_folder, sayable_captions
from tests.support.suspects import FakeSuspect


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[BoundRelease, Keyring]:
    """A release with `wording`."""
    folder = tmp_path_factory.mktemp("marked")
    keyring, source = Keyring(folder / "home"), make_varied_folder(folder / "d", sayable_captions(COUNT))
    return embed(source, folder / "out", with_list(WORDING, keyring), keyring, secret=SECRET).bound, keyring


class Worded(FakeSuspect):
    """Its answers lean along each slot's mark as its words say."""

    def __init__(self, bound: BoundRelease, size: float = 2.0, name: str = "worded") -> None:
        super().__init__(name)
        self.bound, self.size = bound, size

    def paint(self, query: Query) -> NDArray[np.uint8]:
        noise = np.random.default_rng(query.seed).normal(128, 12, (8, 8, 3)).repeat(4, 0).repeat(4, 1)
        noise += np.random.default_rng(list(self.name.encode())).normal(0, 1, noise.shape)  # no two models are alike
        for slot in self.bound.slots:
            side = site_of(slot).state(query.prompt)
            if side is not None:
                change = self.size * (side - 0.5) * direction_of(slot)
                assert isinstance(slot.family, Lean)
                noise += slot.family.fitted_looks.shift(change, 32, 32)
        return np.asarray(np.clip(np.rint(noise), 0, 255), dtype=np.uint8)


class Noisy(FakeSuspect):
    """Its answers depend on every word, a little on its name, and on no mark."""

    def paint(self, query: Query) -> NDArray[np.uint8]:
        common, own = (self._cells(f"{text} {query.prompt} {query.seed}") for text in ("all", self.name))
        return np.asarray(np.rint(0.8 * common + 0.2 * own), dtype=np.uint8).repeat(4, 0).repeat(4, 1)

    def _cells(self, text: str) -> NDArray[np.int64]:
        digest = hashlib.sha256(text.encode()).digest()
        return np.random.default_rng(list(digest)).integers(0, 256, (8, 8, 3))


def test_a_suspect_that_learned_the_words_is_found_with_one_set_of_pictures(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring = marked
    suspect = Worded(bound)
    verdict = detect(bound, suspect, keyring, tmp_path)
    assert verdict.outcome == "evidence" and all(s.evidence.p_value == 0.01 for s in verdict.slots)
    assert verdict.queries == suspect.asked == 48, "24 questions, both ways, for however many slots"
    innocent = Noisy("noise")
    none = detect(bound, innocent, keyring, tmp_path)
    assert none.outcome == "no evidence" and len(none.slots) == 4 and none.queries == innocent.asked == 48


def test_another_reference_or_none_is_another_plan(marked: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = marked
    suspect, base = Noisy("tuned"), Noisy("base")
    alone = detect(bound, suspect, keyring, tmp_path)
    with_base = detect(bound, suspect, keyring, tmp_path, reference=base)
    again = detect(bound, suspect, keyring, tmp_path, reference=base)
    other = detect(bound, suspect, keyring, tmp_path, reference=Worded(bound, name="another base"))
    assert [v.plans_tried for v in (alone, with_base, again, other)] == [1, 2, 2, 3]
    assert [v.alpha / alone.alpha for v in (with_base, again, other)] == [0.5, 0.5, 0.25]
    assert "reference" not in alone.flags and {"reference", "further-plan-1"} <= set(with_base.flags)
    assert again.e_value == with_base.e_value and base.asked == 48
    assert {s.scores.planted for s in alone.slots} != {s.scores.planted for s in with_base.slots}
    with pytest.raises(InputError, match="the reference tuned has the suspect's own weights"):
        detect(bound, suspect, keyring, tmp_path, reference=Noisy("tuned"))


def test_a_survey_sets_a_suspect_aside_that_is_the_reference(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring = marked
    saved_anew = Noisy("base of the survey")
    saved_anew.identity = {"weights": "saved anew"}
    suspects: dict[str, Callable[[], Suspect]] = {
        "copy": lambda: Noisy("base of the survey"),
        "saved anew": lambda: saved_anew,
        "guilty": lambda: Worded(bound, name="guilty in a survey"),
    }
    done = survey(suspects, [bound.release], keyring, tmp_path, 0.05, reference=Noisy("base of the survey"))
    assert [pair.verdict.suspect for pair in done.pairs] == ["guilty in a survey"] and done.pairs[0].found
    assert done.tested == 3 and done.as_json()["set_aside"] == {
        "copy": "the reference base of the survey has the suspect's own weights",
        "saved anew": "the reference base of the survey is the suspect: it answers the same questions with the same "
        "pictures",
    }


def test_a_reference_that_has_learned_the_same_takes_the_evidence_off(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring = marked
    found = detect(bound, Worded(bound, name="child"), keyring, tmp_path, reference=Worded(bound, name="parent"))
    assert found.outcome == "no evidence"


def test_a_control_that_is_the_reference_is_asked_without_it(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring = marked
    guilty, base = Worded(bound, name="child"), Worded(bound, name="base", size=0.3)
    verdict = detect(bound, guilty, keyring, tmp_path, reference=base, control=base)
    assert verdict.control_e_value is not None and verdict.control_e_value > 1, (
        "taken off itself, it would show nothing"
    )


def test_a_reference_on_other_software_is_another_plan(marked: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = marked
    one, other = Noisy("base"), Noisy("base")
    other.identity = {**other.identity, "scheduler": "another"}
    suspect = Noisy("suspect of two settings")
    first = detect(bound, suspect, keyring, tmp_path, reference=one)
    second = detect(bound, suspect, keyring, tmp_path, reference=other)
    assert (first.plans_tried, second.plans_tried) == (1, 2) and second.alpha == first.alpha / 2
    assert first.reference is not None and first.reference["name"] == "base" and first.as_json()["reference"]
    assert all(len(slot.counted.reference_sha256) == len(slot.counted.answer_sha256) for slot in first.slots)


def test_too_few_questions_are_refused(marked: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = marked
    with pytest.raises(InputError, match="--queries 11 is too few: lean needs 12 questions"):
        detect(bound, Noisy("asked little"), keyring, tmp_path, departures=Departures(queries=11))
