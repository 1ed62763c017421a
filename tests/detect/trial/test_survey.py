"""Many suspects and releases at once: what is found, and how much of it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detect.suspects.images.suspect import Query, Suspect
from detect.trial.judge import detect
from detect.trial.survey import survey
from protect.errors import SuspectError
from protect.evidence import discoveries, running_evidence, slot_evidence
from protect.keys.keyring import Keyring
from tests.support.suspects import FakeSuspect, Flat, Guilty, HalfWay, marked

LEVEL = 0.05


def drawn(rng: np.random.Generator, slots: int, strength: float) -> float:
    """E of a pair whose planted score stands out by `strength`."""
    decoys = rng.normal(size=(slots, 199))
    planted = rng.normal(size=slots) + strength
    return float(running_evidence([slot_evidence(p, d) for p, d in zip(planted, decoys, strict=True)])[-1])


@pytest.mark.parametrize("guilty", [0, 5])
def test_the_false_discovery_rate_is_kept_also_where_suspects_are_copies_of_each_other(guilty: int) -> None:
    """Thirty innocent pairs, in tens that all answer alike: their evidence is the same."""
    rng, shares = np.random.default_rng(5), list[float]()
    for _ in range(400):
        innocent = np.repeat([drawn(rng, 4, 0.0) for _ in range(3)], 10)
        found = discoveries(np.concatenate([[drawn(rng, 4, 4.0) for _ in range(guilty)], innocent]), LEVEL)
        shares.append(found[guilty:].sum() / max(1, found.sum()))
    assert np.mean(shares) <= LEVEL * 30 / (30 + guilty)


def test_many_guilty_need_less_evidence_than_one_alone() -> None:
    together = np.array([200.0] * 5 + [1.0] * 5)
    assert discoveries(together, 0.01).tolist() == [True] * 5 + [False] * 5
    assert not discoveries(np.array([200.0] + [1.0] * 9), 0.01).any()
    assert not discoveries(np.empty(0), 0.01).any()


def test_discoveries_are_the_most_that_keep_the_rule() -> None:
    """The definition, counted out: k of them are at least m / (k level)."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        e = rng.exponential(60, size=rng.integers(1, 12))
        sizes = [k for k in range(1, len(e) + 1) if np.sum(e >= len(e) / (k * 0.05)) >= k]
        found = discoveries(e, 0.05)
        assert found.sum() == max(sizes, default=0)
        assert not found.any() or e[found].min() >= e[~found].max(initial=0)


def test_the_guilty_of_each_release_are_found_and_nobody_else(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    first, second = (marked(tmp_path, keyring, seed, decoys=9999) for seed in (0, 1))

    def missing() -> Suspect:
        raise SuspectError("no such model", "Give one.")

    suspects: dict[str, Callable[[], Suspect]] = {
        "one": lambda: Guilty(first, "one"),
        "two": lambda: Guilty(second, "two"),
        "innocent": lambda: FakeSuspect("innocent"),
        "flat": lambda: Flat("flat", 90),
        "half": lambda: HalfWay(),
        "gone": missing,
    }
    done = survey(suspects, [first.release, second.release], keyring, cache, 1e-3)
    found = {(p.verdict.suspect, p.verdict.release.id) for p in done.pairs if p.found}
    assert found == {("one", first.release.id), ("two", second.release.id)}
    assert done.tested == 12 and len(done.pairs) == 10 and done.set_aside == {"gone": "no such model"}
    unclear = [p.e_value for p in done.pairs if p.verdict.outcome == "inconclusive"]
    assert unclear and max(unclear) <= 1
    assert json.loads(json.dumps(done.as_json()))["pairs_tested"] == 12


def test_asking_goes_on_until_a_pair_could_be_found_alone(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    """One slot is enough for the verdict, and not for 600 pairs; the repeat goes on where the verdict had stopped."""
    bound = marked(tmp_path, keyring, decoys=9999)
    suspect = Guilty(bound)
    alone = detect(bound, suspect, keyring, cache)
    assert len(alone.slots) == 1
    many: dict[str, Callable[[], Suspect]] = {"guilty": lambda: suspect}
    many |= {f"other {n}": lambda n=n: FakeSuspect(f"other {n}") for n in range(60)}  # type: ignore[misc]
    done = survey(many, [bound.release], keyring, cache, 1e-4)
    top = done.pairs[0]
    assert top.found and len(top.verdict.slots) > 1 and top.e_value >= 61 / 1e-4
    assert sum(pair.found for pair in done.pairs) == 1


def test_further_looks_count_by_half(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    """Answers asked for anew that are others: what the survey then sees is the committed look still."""
    bound = marked(tmp_path, keyring, decoys=9999)
    done = survey({"g": lambda: Guilty(bound)}, [bound.release], keyring, cache, 1e-3)
    look = next(one for one in done.pairs[0].verdict.looks if one.this)
    assert done.pairs[0].e_value == pytest.approx(done.pairs[0].verdict.running[-1] / 2**look.further)


class Collected(FakeSuspect):
    """Answers that somebody collected: nobody can ask what it is."""

    repeatable = False

    def __init__(self, name: str, source: str) -> None:
        super().__init__(name)
        self.source = FakeSuspect(source)

    def paint(self, query: Query) -> NDArray[np.uint8]:
        return self.source.paint(query)


def test_the_same_answers_under_two_names_are_told(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    sources = {"box": "a", "other box": "a", "third box": "b"}
    suspects = {name: partial(Collected, name, source) for name, source in sources.items()}
    done = survey(suspects, [bound.release], keyring, cache, 1e-3)
    assert done.alike == (("box", "other box"),)
    assert "box, other box gave the same answers" in done.as_json()["warnings"][0] and done.tested == 3
    own = survey({"third box": suspects["third box"]}, [bound.release], keyring, cache, 1e-3)
    assert own.alike == () and own.warnings == ()
