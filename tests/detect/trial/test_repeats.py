"""A repeat says the same, whatever became of the cache; other answers are a further look at half the level."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detect.provenance.tag_questions import all_questions, open_original
from detect.provenance.tags import LabelTrial
from detect.reports.report import Section, write_report
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.suspects.images.suspect import Answer, Query, Sampler
from detect.trial import engine
from detect.trial.judge import detect, run_trial
from detect.trial.ledger import opened
from detect.trial.questions import Departures
from protect.embed.write import embed
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.marks.family import Pixels
from protect.release.bound import BoundRelease, bind
from protect.release.plan import Options
from tests.support.datasets import make_classes
from tests.support.suspects import FakeSuspect, Guilty, marked

SAME = ("verdict", "reason", "e_value", "p_value", "threshold", "alpha", "transcript_sha256", "queries", "release")


class Guessing(FakeSuspect):
    """Draws anew whenever it is asked."""

    def __init__(self, name: str = "guessing", seed: int = 0) -> None:
        super().__init__(name)
        self.rng = np.random.default_rng(seed)

    def paint(self, query: Query) -> Pixels:
        return self.rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_a_repeat_says_the_same_when_the_cache_was_emptied(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    for suspect in (Guessing(), Guilty(bound), FakeSuspect("innocent")):
        first = detect(bound, suspect, keyring, cache)
        asked = suspect.asked
        shutil.rmtree(cache)
        again = detect(bound, suspect, keyring, cache)
        assert suspect.asked == asked, "nothing is drawn again"
        one, two = first.as_json(), again.as_json()
        assert {name: one[name] for name in SAME} == {name: two[name] for name in SAME}
        for before, after in zip(one["slots"], two["slots"], strict=True):
            told = ("p_value", "e_value", "running_e_value", "outputs", "answers", "answers_sha256", "output_sha256")
            assert {name: before[name] for name in told} == {name: after[name] for name in told}
            assert after["planted_score"] is None and before["planted_score"] is not None
        assert "answers-gone" in again.flags and "answers-gone" not in first.flags
        assert any("not in the cache any more" in warning for warning in again.warnings)


def test_a_look_that_goes_further_leaves_the_one_before_its_answers(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    """Both begin with the same transcript: the second replaces it by a longer one, the first still names it."""
    bound = marked(tmp_path, keyring)
    suspect = Guilty(bound)
    first = detect(bound, suspect, keyring, cache)
    assert first.outcome == "evidence" and len(first.slots) < len(bound.slots)
    detect(bound, suspect, keyring, cache, anew=True, at_least=1e30)
    shutil.rmtree(cache)
    again = detect(bound, suspect, keyring, cache)
    assert {name: again.as_json()[name] for name in SAME} == {name: first.as_json()[name] for name in SAME}


def test_the_page_of_a_repeat_without_answers_stands(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    detect(bound, Guilty(bound), keyring, cache)
    shutil.rmtree(cache)
    write_report(tmp_path / "page.html", "t", "l", [Section("s", detect(bound, Guilty(bound), keyring, cache))])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>evidence</b>" in page and "The numbers are those of the ledger" in page and page.count("<svg") == 1


def test_a_damaged_cache_is_not_filled_with_other_answers(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, suspect = marked(tmp_path, keyring), Guessing()
    first = detect(bound, suspect, keyring, cache)
    next(cache.rglob("*.png")).unlink()
    again = detect(bound, suspect, keyring, cache)
    assert again.e_value == first.e_value and suspect.asked == 12 and again.plans_tried == 1
    assert sum(slot.scores is None for slot in again.slots) == 1, "the other slots are shown as before"


def test_other_answers_in_the_cache_are_not_scored(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    """Somebody may fill the cache from elsewhere; what was scored stays."""
    bound = marked(tmp_path, keyring)
    first = detect(bound, FakeSuspect("s"), keyring, cache)
    other = Guilty(bound, "s")
    shutil.rmtree(cache)
    detect(bound, other, Keyring(tmp_path / "elsewhere"), cache)
    again = detect(bound, other, keyring, cache)
    assert (again.outcome, again.e_value) == (first.outcome, first.e_value) == ("no evidence", first.e_value)


def test_asking_anew_is_a_further_look_only_if_the_answers_differ(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    bound, steady, guessing = marked(tmp_path, keyring), FakeSuspect("steady"), Guessing()
    first = detect(bound, steady, keyring, cache)
    again = detect(bound, steady, keyring, cache, anew=True)
    assert steady.asked == 24 and again.plans_tried == 1 and again.alpha == first.alpha
    before = detect(bound, guessing, keyring, cache)
    after = detect(bound, guessing, keyring, cache, anew=True)
    assert guessing.asked == 24 and after.plans_tried == 2 and after.alpha == before.alpha / 2
    assert "further-plan-1" in after.flags and after.e_value != before.e_value
    assert [look.this for look in after.looks] == [False, True]
    assert [look.e_value for look in after.looks] == [before.e_value, after.e_value]
    repeat = detect(bound, guessing, keyring, cache)
    assert (repeat.alpha, repeat.e_value) == (before.alpha, before.e_value), "a plain repeat says what it said"


def test_asking_anew_goes_on_where_it_was_stopped(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, suspect = marked(tmp_path, keyring), Guessing()
    detect(bound, suspect, keyring, cache)

    class Dies(Guessing):
        def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
            if self.asked >= 8:
                raise KeyboardInterrupt
            return super().answer(queries, sampler)

    with pytest.raises(KeyboardInterrupt):
        detect(bound, Dies(seed=1), keyring, cache, anew=True)
    found = detect(bound, suspect, keyring, cache, anew=True)
    assert suspect.asked == 12 + 4 and found.plans_tried == 2 and len(found.slots) == 3


def test_answers_lost_between_fixing_and_scoring_cost_half_the_level(
    tmp_path: Path, keyring: Keyring, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound, suspect = marked(tmp_path, keyring), Guessing()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine, "score_slot", killed)
        detect(bound, suspect, keyring, cache)
    with opened(keyring) as ledger:
        (look,) = ledger.looks
        assert look.slots[0].answers and look.slots[0].evidence is None, "fixed before its key was used"
    shutil.rmtree(cache)
    found = detect(bound, suspect, keyring, cache)
    assert found.alpha == 5e-4 and found.plans_tried == 2
    assert detect(bound, suspect, keyring, cache).as_json() == found.as_json()


def test_a_kill_between_fixing_and_scoring_costs_nothing_while_the_answers_are_there(
    tmp_path: Path, keyring: Keyring, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound, suspect = marked(tmp_path, keyring), Guessing()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine, "score_slot", killed)
        detect(bound, suspect, keyring, cache)
    found = detect(bound, suspect, keyring, cache)
    assert found.alpha == 1e-3 and suspect.asked == 12


def test_no_key_is_used_before_its_answers_are_fixed(
    tmp_path: Path, keyring: Keyring, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound, order = marked(tmp_path, keyring), list[tuple[str, int]]()
    score = engine.score_slot

    def watched(bound: BoundRelease, transcript: Any, slot: int) -> Any:
        with opened(keyring) as ledger:
            order.append((ledger.looks[0].slots[slot].answers, slot))
            assert order[-1][0] == transcript.slot_digest(slot) and len(ledger.looks[0].slots) == slot + 1
        return score(bound, transcript, slot)

    monkeypatch.setattr(engine, "score_slot", watched)
    detect(bound, FakeSuspect(), keyring, cache)
    assert [slot for _, slot in order] == [0, 1, 2]


def test_the_committed_plan_is_judged_at_the_whole_level_after_a_trial_run(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    bound, suspect = marked(tmp_path, keyring), FakeSuspect()
    trial = detect(bound, suspect, keyring, cache, departures=Departures(queries=2))
    assert trial.alpha == 5e-4 and "further-plan-1" in trial.flags
    committed = detect(bound, suspect, keyring, cache)
    assert committed.alpha == 1e-3 and committed.plans_tried == 2
    assert [look.further for look in committed.looks] == [1, 0]
    given = detect(bound, suspect, keyring, cache, departures=Departures(queries=4))
    assert given.alpha == 1e-3, "what was committed to is no departure, even where it is asked for by name"


def test_a_control_that_guesses_is_asked_once(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, control = marked(tmp_path, keyring), Guessing("control")
    first = detect(bound, Guilty(bound), keyring, cache, control=control)
    asked = control.asked
    shutil.rmtree(cache)
    again = detect(bound, Guilty(bound), keyring, cache, control=control)
    assert control.asked == asked > 0 and again.control_e_value == first.control_e_value


def test_two_runs_at_once_give_one_verdict(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    """The second waits for the first, and finds its answers."""
    marked(tmp_path, keyring)
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    processes = [context.Process(target=_guess, args=(keyring.home, cache, seed, said)) for seed in (1, 2)]
    for process in processes:
        process.start()
    found = [said.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    assert found[0] == found[1] and found[0][1] == 1


def _guess(home: Path, cache: Path, seed: int, said: Any) -> None:
    keyring = Keyring(home)
    bound = bind(keyring.releases()[0], keyring.store)
    verdict = detect(bound, Guessing(seed=seed), keyring, cache)
    said.put((verdict.e_value, verdict.plans_tried))


CLASSES = 6


class Guesser(Classifier):
    """Answers at random each time it is asked."""

    def __init__(self, seed: int = 0) -> None:
        self.name, self.identity, self.asked = "guesser", {"weights": "guesser"}, 0
        self.rng = np.random.default_rng(seed)

    def answer(self, pictures: Pixels) -> Answers:
        self.asked += 1
        return Answers(self.rng.integers(0, CLASSES, len(pictures)))


@pytest.fixture
def redrawn(tmp_path: Path, keyring: Keyring) -> Callable[[int], LabelTrial]:
    """One release's test under other keys: the classes that the key drew, and its secret."""
    dataset = make_classes(tmp_path / "d", CLASSES, 20, 48)
    options = Options(rate=0.15, alignment="label", slots=6, alpha=0.05, queries=4)
    bound = embed(dataset, tmp_path / "out", options, keyring, secret=secret_from_seed(3, "tags")).bound
    original = open_original(dataset)
    asked = tuple(all_questions(bound, original))

    def trial(seed: int) -> LabelTrial:
        rng = np.random.default_rng(seed)
        slots = tuple(
            replace(slot, questions=replace(slot.questions, trigger=str(rng.choice(original.classes))))
            for slot in bound.slots
        )
        other = BoundRelease(replace(bound.release, secret=secret_from_seed(seed, "redrawn")), slots)
        return LabelTrial(other, asked, original.classes)

    return trial


def accused_under(
    redrawn: Callable[[int], LabelTrial], home: Path, cache: Path, keys: int, repeats: int
) -> tuple[int, int]:
    """Keys under which a guesser is ever accused, the cache emptied before each repeat; and how often it is asked."""
    accused, asked = 0, 0
    for key in range(keys):
        trial, suspect, keyring = redrawn(key), Guesser(key), Keyring(home / str(key))
        outcomes = set()
        for _ in range(repeats):
            shutil.rmtree(cache, ignore_errors=True)
            outcomes.add(run_trial(trial, suspect, keyring, cache).outcome)
        assert len(outcomes) == 1, "every repeat says the same"
        accused += "evidence" in outcomes
        asked += suspect.asked
    return accused, asked


def test_a_guessing_classifier_is_accused_at_the_level_however_often_the_cache_is_emptied(
    redrawn: Callable[[int], LabelTrial], tmp_path: Path, cache: Path
) -> None:
    accused, asked = accused_under(redrawn, tmp_path / "homes", cache, keys=12, repeats=6)
    assert accused <= 3 and asked <= 12 * (1 + 2 * 6), "the probe, and six slots with the mark and without"


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_thousand_repeats_of_a_guessing_classifier(
    redrawn: Callable[[int], LabelTrial], tmp_path: Path, cache: Path
) -> None:
    accused, asked = accused_under(redrawn, tmp_path / "homes", cache, keys=5, repeats=1_000)
    assert accused <= 2 and asked <= 5 * (1 + 2 * 6)


def test_asking_a_classifier_anew_is_a_further_look(
    redrawn: Callable[[int], LabelTrial], keyring: Keyring, cache: Path
) -> None:
    trial, suspect = redrawn(1), Guesser()
    first, again = (run_trial(trial, suspect, keyring, cache, anew=anew) for anew in (False, True))
    assert again.alpha == first.alpha / 2 and again.plans_tried == 2
