"""The arithmetic of looking more than once: what all looks at one suspect may spend, and what a repeat says.

Sequences of calls are drawn at random; each is played on the ledger alone, without pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import stats

from detect.trial.levels import Ledger
from detect.trial.looks import Look, ScoredSlot
from protect.evidence import SlotEvidence, running_evidence, slot_evidence

RELEASES, SLOTS, ALPHA = ("a", "b", "c", "d"), 3, 0.2
_SCORES = np.random.default_rng(1).normal(size=100)
EVIDENCE = [slot_evidence(float(score), np.delete(_SCORES, i)) for i, score in enumerate(_SCORES)]
"""What one slot may say of an innocent: the planted mark is as likely to be any of the hundred."""


@dataclass
class Owner:
    """Plays one owner's calls on one suspect, which answers at random whenever it is asked."""

    rng: np.random.Generator
    ledger: Ledger = field(default_factory=Ledger)
    cache: dict[tuple[object, ...], int] = field(default_factory=dict)
    said: list[tuple[Look, float, bool]] = field(default_factory=list)
    """Look, E and whether it accuses, of every verdict."""

    def call(
        self, releases: Sequence[str], plan: str, *, departs: bool = False, anew: bool = False, killed: int = 99
    ) -> None:
        """One `detect run`; it dies after so many steps."""
        files = f"files {self.rng.integers(3)}"  # saved anew now and then: the probe knows it again
        subject = self.ledger.recognise(files, files, "probe")
        for release in releases:
            current, last = self.ledger.current(release, subject, plan), self.ledger.last(release, subject, plan)
            look = current
            if anew and last is not None:
                look = None if last.finished(SLOTS, ALPHA) else last
            if look is None:
                again = last.asked_anew + anew if last else 0
                look = self.ledger.enter(
                    release, releases, subject, "s", plan, departs=departs, now="", asked_anew=again
                )
            killed = self.run(look, killed)
            if killed <= 0:
                return

    def run(self, look: Look, killed: int) -> int:
        """Ask and score slot by slot, as the engine does."""
        for slot in range(SLOTS):
            if len(look.scored()) > slot:
                continue
            if killed <= 0:
                return 0
            where = (look.release, look.plan, look.asked_anew, slot)
            answers = self.cache.setdefault(where, int(self.rng.integers(1 << 40)))
            look = self.ledger.fix(look, slot, str(answers), "")
            killed -= 1
            if killed <= 0:
                return 0
            self.ledger.record(look, slot, EVIDENCE[answers % len(EVIDENCE)])
            killed -= 1
            if look.e_value >= look.threshold(ALPHA):
                break
        self.said.append((look, look.e_value, look.e_value >= look.threshold(ALPHA)))
        return killed

    def random_call(self) -> None:
        """Anything an owner may do."""
        rng = self.rng
        if rng.random() < 0.4:
            self.cache.clear()
        plan = int(rng.integers(4))
        count = int(rng.integers(1, len(RELEASES) + 1))
        releases = [str(r) for r in rng.choice(RELEASES, size=count, replace=False)]
        killed = int(rng.integers(8)) if rng.random() < 0.3 else 99
        self.call(releases, str(plan), departs=plan >= 2, anew=bool(rng.random() < 0.2), killed=killed)
        if rng.random() < 0.1 and self.ledger.looks and not self.ledger.looks[-1].slots:
            self.ledger.looks.pop()  # withdrawn: not a single answer


def spent(ledger: Ledger) -> float:
    """Level of all looks that scored anything, in units of alpha."""
    return sum(1 / (look.share * 2**look.further) for look in ledger.looks if look.scored())


def check_levels(sequences: int, seed: int) -> float:
    """Play random sequences; returns the most that any spent."""
    most, streams = 0.0, np.random.default_rng(seed).spawn(sequences)
    for stream in streams:
        owner = Owner(stream)
        for _ in range(int(stream.integers(1, 9))):
            owner.random_call()
        ledger = owner.ledger
        most = max(most, spent(ledger))
        assert len({look.key for look in ledger.looks}) == len(ledger.looks)
        assert len(ledger.subjects) == 1, "one suspect, whatever files it came in"
        for release in RELEASES:
            here = ledger.of(release, "files 0") or ledger.of(release, ledger.subjects[0].subject)
            assert sorted(look.further for look in here)[:1] in ([], [0], [1])
            assert sum(look.further == 0 for look in here) <= 1
            assert all(look.plan < "2" for look in here if look.further == 0), "departures never take the whole level"
    return most


def test_all_looks_at_one_suspect_spend_four_times_the_level_at_most() -> None:
    assert 2.0 < check_levels(1_000, seed=0) <= 4


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_all_looks_spend_four_times_the_level_at_most_in_a_hundred_thousand_sequences() -> None:
    assert check_levels(100_000, seed=1) <= 4


def test_the_committed_plan_keeps_the_whole_level_whenever_it_comes() -> None:
    owner = Owner(np.random.default_rng(0))
    for plan in ("fewer questions", "other steps"):
        owner.call(["a"], plan, departs=True)
    owner.call(["a"], "committed")
    owner.call(["a"], "on another device")
    assert [look.further for look in owner.ledger.looks] == [1, 2, 0, 3]
    assert [look.threshold(ALPHA) for look in owner.ledger.looks] == [10, 20, 5, 40]


def test_a_departure_that_gave_no_answer_leaves_no_hole_that_spends_more() -> None:
    owner = Owner(np.random.default_rng(0))
    owner.call(["a"], "one", departs=True, killed=0)
    owner.call(["a"], "two", departs=True)
    owner.ledger.looks.pop(0)
    for plan in "345678":
        owner.call(["a"], plan, departs=True)
    assert spent(owner.ledger) <= 1, "departures spend as much as the committed plan at most"


def repeats(keys: int, count: int, seed: int, *, anew: float = 0.0, kills: float = 0.0) -> tuple[int, int]:
    """Keys under which a guesser is ever accused in `count` calls, with the cache emptied before each; most looks."""
    accused, looks = 0, 0
    for stream in np.random.default_rng(seed).spawn(keys):
        owner = Owner(stream)
        for _ in range(count):
            owner.cache.clear()
            killed = int(stream.integers(1, 5)) if kills and stream.random() < kills else 99
            owner.call(["a"], "committed", anew=bool(anew and stream.random() < anew), killed=killed)
        accused += any(accuses for *_, accuses in owner.said)
        looks = max(looks, len(owner.ledger.looks))
    return accused, looks


def at_most(accused: int, keys: int, level: float) -> bool:
    return bool(stats.binomtest(accused, keys, level, alternative="greater").pvalue > 1e-3)


def test_a_guesser_is_accused_at_the_level_however_often_its_answers_are_thrown_away() -> None:
    keys = 60
    accused, looks = repeats(keys, 1_000, seed=2)
    assert looks == 1 and at_most(accused, keys, ALPHA)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_guesser_is_accused_at_the_level_under_many_keys() -> None:
    keys = 500
    accused, looks = repeats(keys, 1_000, seed=6)
    assert looks == 1 and at_most(accused, keys, ALPHA)


def test_asking_a_guesser_anew_each_time_doubles_the_level_at_most() -> None:
    keys = 150
    accused, looks = repeats(keys, 40, seed=3, anew=1.0)
    assert looks == 40 and at_most(accused, keys, 2 * ALPHA)
    mixed, _ = repeats(keys, 40, seed=4, anew=0.3, kills=0.3)
    assert at_most(mixed, keys, 2 * ALPHA)


def test_without_the_ledger_it_would_be_accused_nearly_always() -> None:
    """The checks above can fail: answers drawn anew and judged at the whole level each time."""
    rng = np.random.default_rng(5)

    def accuses() -> bool:
        slots = [EVIDENCE[i] for i in rng.integers(0, len(EVIDENCE), SLOTS)]
        return bool(running_evidence(slots).max() >= 1 / ALPHA)

    accused = sum(any(accuses() for _ in range(50)) for _ in range(100))
    assert accused > 70 and not at_most(accused, 100, 2 * ALPHA)


def test_a_slot_is_scored_once() -> None:
    owner = Owner(np.random.default_rng(0))
    owner.call(["a"], "committed")
    (look,) = owner.ledger.looks
    before = [list(slot.by_lambda) for slot in look.slots]
    owner.ledger.record(look, 0, SlotEvidence(1.0, 99.0, (99.0, 99.0, 99.0)))
    assert [slot.by_lambda for slot in look.slots] == before


def test_answers_that_were_lost_before_they_were_scored_are_one_more_draw() -> None:
    owner = Owner(np.random.default_rng(0))
    owner.call(["a"], "committed", killed=3)  # slot 1 scored, slot 2 fixed
    owner.cache.clear()
    owner.call(["a"], "committed")
    first, second = owner.ledger.looks
    assert first.lost and not second.lost and (first.further, second.further) == (0, 1)
    assert second.slots[0] == first.slots[0] and second.slots[1].answers != first.slots[1].answers
    owner.call(["a"], "committed")
    assert len(owner.ledger.looks) == 2 and owner.said[-1][0] is second, "a repeat goes on with what took its place"


def test_answers_that_are_still_there_go_on_at_their_level() -> None:
    owner = Owner(np.random.default_rng(0))
    owner.call(["a"], "committed", killed=3)
    owner.call(["a"], "committed")
    (look,) = owner.ledger.looks
    assert not look.further and len(look.scored()) == SLOTS


def test_other_weights_that_answer_the_probe_alike_speak_for_themselves() -> None:
    ledger = Ledger()
    first = ledger.recognise("a" * 64, "i1", "p" * 64)
    assert ledger.recognise("b" * 64, "i2", "p" * 64) == first
    look = ledger.enter("r", ["r"], first, "A", "plan", departs=False, now="t", files="a" * 64)
    look.slots.append(ScoredSlot("x" * 64, 0.0001, [9.0, 9.0, 9.0]))
    assert ledger.current("r", first, "plan", "a" * 64) is look
    assert ledger.current("r", first, "plan", "b" * 64) is None, "nobody is given another model's verdict"
    other = ledger.enter("r", ["r"], first, "B", "plan", departs=False, now="t", files="b" * 64)
    assert (look.further, other.further) == (0, 1), "and it costs level"
    other.slots = [ScoredSlot("x" * 64), ScoredSlot("y" * 64)]
    assert ledger.same_answers(other) is look, "unless it says the very same"
    other.slots = [ScoredSlot("z" * 64)]
    assert ledger.same_answers(other) is None


def test_an_unlucky_key_stays_unlucky_under_every_plan() -> None:
    ledger = Ledger()
    ledger.show_control("r", "plan", "control", "base", 5_000.0, 4)
    look = ledger.enter("r", ["r"], "suspect", "A", "another plan", departs=True, now="t")
    assert ledger.place(look, True).control_e_value == 5_000.0
    elsewhere = ledger.enter("other release", ["other release"], "suspect", "A", "plan", departs=False, now="t")
    assert ledger.place(elsewhere, True).control_e_value == 0.0
