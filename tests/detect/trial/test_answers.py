"""Refusals, sizes and flags: every planned answer counts, and the verdict says what was the matter with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from detect.reports.words import summary
from detect.suspects.images.suspect import Answer, Query, Sampler, stacked
from detect.trial.answers import cached_answers, kept_answers
from detect.trial.judge import detect
from detect.trial.picture_trial import PictureTrial
from detect.trial.questions import query_plan
from detect.trial.score import score_slot
from detect.trial.sizes import NO_ANSWER, at_size, common_size
from detect.trial.transcript import recorded_picture
from protect.errors import SuspectError
from protect.keys.keyring import Keyring
from protect.progress import no_progress
from tests.support.suspects import FakeSuspect, Guilty, Refusing, marked

QUERIES = [Query(f"prompt {i}", i) for i in range(6)]


def test_refusals_are_counted_and_make_a_verdict_without_evidence_inconclusive(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    verdict = detect(marked(tmp_path, keyring), Refusing(every=3), keyring, cache)
    refused = verdict.tally.flags["refused"]
    assert verdict.outcome == "inconclusive" and f"{refused} questions were refused" in verdict.reason
    assert "refused" in verdict.flags and verdict.tally.planned == 12 > refused > 0
    said = (
        f"{refused} of 12 questions were refused: lean and shade leave each out with its pair, other families take it"
    )
    assert f"{said} for a black picture." in verdict.warnings
    assert sum(slot.counted.missing for slot in verdict.slots) == refused and verdict.tally.notes == ("policy",)
    assert "warning" in summary(verdict)


def test_a_refusal_scores_as_black_does(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)

    class Black(Guilty):
        def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
            said = super().answer(queries, sampler)
            black = np.zeros((32, 32, 3), dtype=np.uint8)
            return [Answer(black) if q.seed % 3 == 0 else a for q, a in zip(queries, said, strict=True)]

    class Shy(Guilty, Refusing):
        pass

    shy, found = Shy(bound, "same"), []
    shy.every = 3
    for suspect in (Black(bound, "same"), shy):
        trial = PictureTrial(bound, query_plan(bound.release))
        transcript = trial.ask(suspect, trial.opened(suspect), 0, tmp_path / suspect.__class__.__name__, no_progress)
        found.append(score_slot(bound, transcript, 0))
    black, refused = found
    assert black.evidence == refused.evidence and black.counted.missing == refused.counted.missing > 0
    assert set(black.counted.flags) == {"safety-blanked"} and set(refused.counted.flags) == {"refused"}


def test_a_model_that_refuses_everything_is_inconclusive(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    verdict = detect(marked(tmp_path, keyring), Refusing(every=1), keyring, cache)
    assert verdict.outcome == "inconclusive" and verdict.e_value == 1 and verdict.p_value == 1
    assert len(verdict.slots) == 3 and verdict.tally.flags == {"refused": 12}


def test_answers_of_another_size_are_brought_to_the_one_that_most_have(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    bound = marked(tmp_path, keyring, decoys=9999)

    class Changing(Guilty):
        def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
            return [self._sized(q, a) for q, a in zip(queries, super().answer(queries, sampler), strict=True)]

        def _sized(self, query: Query, answer: Answer) -> Answer:
            if query.seed % 4 or answer.picture is None:
                return answer
            return Answer(np.asarray(Image.fromarray(answer.picture).resize((48, 40))))

    verdict = detect(bound, Changing(bound), keyring, cache)
    slot = verdict.slots[0]
    assert verdict.outcome == "evidence" and slot.shown is not None and slot.shown.pictures.shape == (4, 32, 32, 3)
    odd = sum(seed % 4 == 0 for s in verdict.slots for seed in bound.slots[s.slot].questions.seeds)
    assert verdict.tally.flags.get("size-changed", 0) == odd and ("size-changed" in verdict.flags) == (odd > 0)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=12))
def test_the_common_size_does_not_depend_on_the_order(sizes: list[tuple[int, int]]) -> None:
    size = common_size(sizes)
    assert size == common_size(sizes[::-1]) and size in (sizes or [NO_ANSWER])
    assert sizes.count(size) == max(map(sizes.count, sizes), default=0)


def test_pictures_are_stretched_and_refusals_black() -> None:
    picture = np.full((8, 4, 3), 7, dtype=np.uint8)
    assert at_size(picture, (8, 4)) is picture and at_size(picture, (16, 10)).shape == (16, 10, 3)
    assert not at_size(None, (5, 6)).any() and at_size(None, (5, 6)).shape == (5, 6, 3)


class Flagged(FakeSuspect):
    """Its answers were collected by somebody, and some came as JPEG with the prompt rewritten."""

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        return [
            Answer(
                self.paint(q), ("owner-collected", *["lossy", "prompt-rewritten"] * (q.seed % 2)), f"note {q.seed % 2}"
            )
            for q in queries
        ]


def test_what_answers_say_of_themselves_reaches_the_verdict_and_its_repeat(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    bound = marked(tmp_path, keyring)
    verdict = detect(bound, Flagged(), keyring, cache)
    odd = sum(seed % 2 for slot in bound.slots for seed in slot.questions.seeds)
    assert verdict.tally.flags == {"lossy": odd, "owner-collected": 12, "prompt-rewritten": odd}
    assert {"owner-collected", "lossy", "prompt-rewritten"} <= set(verdict.flags)
    assert set(verdict.tally.notes) == {"note 0", "note 1"} and len(verdict.warnings) == 3
    assert any("collected by the owner" in warning for warning in verdict.warnings)
    assert detect(bound, Flagged(), keyring, cache).as_json() == verdict.as_json(), "the cache keeps flags and notes"


def test_refusals_and_flags_come_back_from_the_cache(cache: Path) -> None:
    suspect = Refusing(every=2)
    first = cached_answers(suspect, QUERIES, Sampler(), cache)
    again = cached_answers(suspect, QUERIES, Sampler(), cache)
    assert suspect.asked == 6 and [a.picture is None for a in again] == [a.picture is None for a in first]
    assert [(a.flags, a.note) for a in again] == [(a.flags, a.note) for a in first]
    kept = kept_answers(suspect, QUERIES, Sampler(), cache)
    assert kept is not None and len(kept) == 6
    next(cache.rglob("*.png")).unlink()
    assert kept_answers(suspect, QUERIES, Sampler(), cache) is None


def test_flags_of_an_answer_that_was_asked_for_again_are_the_new_ones(cache: Path) -> None:
    cached_answers(Flagged("same"), QUERIES[:1], Sampler(), cache)
    next(cache.rglob("*.png")).write_bytes(b"")
    assert cached_answers(FakeSuspect("same"), QUERIES[:1], Sampler(), cache)[0].flags == ()
    assert cached_answers(FakeSuspect("same"), QUERIES[:1], Sampler(), cache)[0].flags == ()


def test_one_array_needs_a_picture_of_one_size_for_every_question() -> None:
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    assert stacked([Answer(picture)] * 3).shape == (3, 4, 4, 3)
    with pytest.raises(SuspectError, match=r"1 of 2 questions were refused \(policy\)"):
        stacked([Answer(picture), Answer(None, ("refused",), "policy")])
    with pytest.raises(SuspectError, match="2 answers have 2 sizes"):
        stacked([Answer(picture), Answer(picture[:2])])


def test_pictures_of_one_colour_are_flagged() -> None:
    red = np.zeros((4, 4, 3), dtype=np.uint8)
    red[..., 0] = 200
    assert recorded_picture(Answer(red)).flags == ("safety-blanked",)
    red[0, 0, 1] = 1
    assert recorded_picture(Answer(red)).flags == () and recorded_picture(Answer(None)).flags == ("refused",)
