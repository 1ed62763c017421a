"""Naming recipients: whose copy a model learned from, and that nobody else is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detect.suspects.images.suspect import Query
from detect.trace.trace import trace
from detect.trial.judge import detect
from protect.embed.write import embed
from protect.errors import InputError
from protect.keys.keyring import Keyring
from protect.keys.tree import KeyTree
from protect.marks.lean import Lean
from protect.release.bound import BoundRelease
from tests.support.lean_releases import COUNT, SECRET, WORDING, site_of, with_list
from tests.support.leaning import make_varied_folder, sayable_captions
from tests.support.suspects import Broken, FakeSuspect

MANY, FEWER = range(1, 1001), range(1, 1000)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[BoundRelease, Keyring]:
    """A release with `wording`, whose recipients are numbers."""
    folder = tmp_path_factory.mktemp("marked")
    keyring, source = Keyring(folder / "home"), make_varied_folder(folder / "d", sayable_captions(COUNT))
    return embed(source, folder / "out", with_list(WORDING, keyring), keyring, secret=SECRET).bound, keyring


class Leaker(FakeSuspect):
    """Its answers lean along the marks of some recipients as its words say."""

    def __init__(self, bound: BoundRelease, serials: Sequence[int], size: float = 3.0) -> None:
        super().__init__(f"leaker of {list(serials)} by {size:g}")
        self.bound = bound
        self.shifts = {
            slot.number: size * np.mean([_direction(bound, serial, slot.number) for serial in serials], axis=0)
            for slot in bound.slots
        }

    def paint(self, query: Query) -> NDArray[np.uint8]:
        noise = np.random.default_rng(query.seed).normal(128, 12, (8, 8, 3)).repeat(4, 0).repeat(4, 1)
        for slot in self.bound.slots:
            side = site_of(slot).state(query.prompt)
            if side is not None:
                assert isinstance(slot.family, Lean)
                noise += slot.family.fitted_looks.shift((side - 0.5) * self.shifts[slot.number], 32, 32)
        return np.asarray(np.clip(np.rint(noise), 0, 255), dtype=np.uint8)


def _direction(bound: BoundRelease, serial: int, slot: int) -> NDArray[np.float64]:
    family = bound.slots[slot].family
    assert isinstance(family, Lean)
    release = bound.release
    return family.direction(KeyTree(release.secret, release.coin, str(serial)).slot(slot).planted)


def test_the_recipient_whose_copy_was_learned_is_named_among_a_thousand(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring = marked
    suspect = Leaker(bound, [377])
    found = trace(bound, suspect, keyring, tmp_path, MANY)
    assert (found.outcome, [source.serial for source in found.sources]) == ("named", [377])
    (source,) = found.sources
    assert source.e_value >= found.threshold == 1000 / found.alpha
    assert source.p_value == pytest.approx(1000 / source.e_value) and source.p_value <= found.alpha
    assert found.some * 1000 >= source.e_value, "the mean over all recipients holds the named one's share"
    again = trace(bound, suspect, keyring, tmp_path, MANY)
    assert again.as_json({}) == found.as_json({}) and suspect.asked == 48, "a repeat asks nothing and says the same"


def test_two_copies_are_two_sources(marked: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = marked
    found = trace(bound, Leaker(bound, [5, 900], 6.0), keyring, tmp_path, MANY)
    assert found.outcome == "at least two sources" and {source.serial for source in found.sources} == {5, 900}


def test_nobody_is_named_for_an_innocent_or_for_a_copy_that_was_never_issued(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring = marked
    noise = trace(bound, FakeSuspect("noise"), keyring, tmp_path, MANY)
    stranger = trace(bound, Leaker(bound, [5000]), keyring, tmp_path, MANY)
    assert [one.outcome for one in (noise, stranger)] == ["nobody", "nobody"]
    assert noise.sources == stranger.sources == () and noise.some < 100


def test_every_other_way_of_asking_halves_the_level(marked: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = marked
    suspect, alpha = Leaker(bound, [7], 2.5), bound.release.plan.alpha
    before = detect(bound, suspect, keyring, tmp_path)
    found = [trace(bound, suspect, keyring, tmp_path, serials) for serials in (MANY, range(1, 1003), range(7, 8), MANY)]
    assert before.alpha == alpha and [one.alpha / alpha for one in found] == [1 / 2, 1 / 4, 1 / 8, 1 / 2]
    assert [one.threshold * one.alpha for one in found] == [1000, 1002, 1, 1000]
    assert [one.plans_tried for one in found] == [2, 3, 4, 4] and "further-plan-1" in found[0].flags
    assert found[2].outcome == "named" and found[2].sources[0].serial == 7, "one recipient's own mark, tested alone"


def test_a_control_that_shows_copies_voids_names(marked: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = marked  # recipients that no other test asks for: what a control showed is remembered
    suspect, control = Leaker(bound, [12], 3.1), Leaker(bound, [12], 2.9)
    assert trace(bound, suspect, keyring, tmp_path, FEWER, control=FakeSuspect("other noise")).outcome == "named"
    voided = trace(bound, suspect, keyring, tmp_path, FEWER, control=control)
    assert voided.outcome == "inconclusive" and "unlucky key" in voided.reason and not voided.sources
    assert trace(bound, suspect, keyring, tmp_path, FEWER).outcome == "inconclusive", "an unlucky key stays unlucky"
    with pytest.raises(InputError, match="own weights"):
        trace(bound, suspect, keyring, tmp_path, FEWER, control=suspect)


class Grey(FakeSuspect):
    """Answers nothing that could be looked at."""

    def paint(self, query: Query) -> NDArray[np.uint8]:
        return np.full((32, 32, 3), 90, dtype=np.uint8)


def test_missing_answers_name_nobody_and_acquit_nobody(marked: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = marked
    grey = trace(bound, Grey("grey"), keyring, tmp_path, MANY)
    assert grey.outcome == "inconclusive" and "of one colour" in grey.reason
    assert grey.silent == (0, 1, 2, 3) and grey.some == 1.0
    broken = trace(bound, Broken("broken"), keyring, tmp_path, MANY)
    assert broken.outcome == "inconclusive" and "NaN" in broken.reason and broken.plans_tried == 1
    assert trace(bound, Leaker(bound, [3], 2.8), keyring, tmp_path, MANY).plans_tried == 1
    assert trace(bound, Broken("broken"), keyring, tmp_path, range(1, 3)).plans_tried == 1, "the first was withdrawn"


@pytest.mark.parametrize("serials", [range(0), range(0, 5), range(1, 10_000_002)])
def test_recipients_that_cannot_be_tested_are_refused(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path, serials: range
) -> None:
    bound, keyring = marked
    with pytest.raises(InputError, match="cannot be tested"):
        trace(bound, FakeSuspect("anyone"), keyring, tmp_path, serials)
