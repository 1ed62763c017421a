"""Naming recipients: whose copy a model learned from, and that nobody else is named."""

from __future__ import annotations

import shutil
from dataclasses import replace
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
from protect.keys.tree import secret_from_seed
from protect.release.bound import BoundRelease
from protect.release.plan import Options
from tests.support.datasets import make_folder, recaption, varied_captions
from tests.support.leakers import Leaker, Painter
from tests.support.lean_releases import COUNT, SECRET, WORDING, with_list
from tests.support.leaning import make_varied_folder, sayable_captions
from tests.support.suspects import Broken, FakeSuspect

MANY = range(1, 1001)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[BoundRelease, Keyring]:
    """A release with `wording`, whose recipients are numbers."""
    folder = tmp_path_factory.mktemp("marked")
    keyring, source = Keyring(folder / "home"), make_varied_folder(folder / "d", sayable_captions(COUNT))
    options = replace(with_list(WORDING, keyring), recipients=True)
    return embed(source, folder / "out", options, keyring, secret=SECRET).bound, keyring


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
    assert [round(one.threshold * one.alpha, 6) for one in found] == [1000, 1002, 1002, 1000]
    assert [one.plans_tried for one in found] == [2, 3, 4, 4] and "further-plan-1" in found[0].flags


def test_one_recipient_counts_for_itself_only_if_no_answer_can_have_told_which(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring, alpha = *marked, marked[0].release.plan.alpha
    own = Leaker(bound, [7], 2.6)
    first = trace(bound, own, keyring, tmp_path, range(7, 8), issued=20)
    assert first.threshold == 1 / alpha and first.outcome == "named" and first.sources[0].serial == 7
    second = trace(bound, own, keyring, tmp_path, range(9, 10), issued=20)  # named by nobody's evidence but its own
    assert second.among == 1 and second.threshold == 2 / alpha and second.outcome == "nobody"
    late = trace(bound, own, keyring, tmp_path, range(21, 22), issued=21)  # its copy was made to order
    assert late.among == 21 and late.threshold == 21 * 4 / alpha
    trace(bound, own, keyring, tmp_path, range(1, 22))
    picked = trace(bound, own, keyring, tmp_path, range(3, 4), issued=21)  # the evidence of all was seen
    assert picked.among == 21 and picked.threshold * picked.alpha == 21
    assert trace(bound, own, keyring, tmp_path, range(7, 8), issued=21).threshold == 1 / alpha, "a repeat stays"


def test_picking_the_tallest_of_all_and_certifying_it_is_no_shortcut(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring = marked
    for number in range(20):
        innocent = FakeSuspect(f"noise {number}")
        everybody = trace(bound, innocent, keyring, tmp_path, MANY)
        tallest = 1 + int(everybody.log_e_values.argmax())
        picked = trace(bound, innocent, keyring, tmp_path, range(tallest, tallest + 1), issued=len(MANY))
        assert picked.threshold == 2 * everybody.threshold and picked.outcome in ("nobody", "inconclusive")
        assert np.isclose(picked.log_e_values[0], everybody.log_e_values[tallest - 1]), "the same answers and marks"


def test_a_control_that_shows_copies_voids_names(marked: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = marked[0], Keyring(tmp_path / "home")
    shutil.copytree(marked[1].home, keyring.home)  # what a control showed of a release is remembered
    suspect, control = Leaker(bound, [12], 3.1), Leaker(bound, [12], 2.9)
    assert trace(bound, suspect, keyring, tmp_path, MANY, control=FakeSuspect("other noise")).outcome == "named"
    voided = trace(bound, suspect, keyring, tmp_path, MANY, control=control)
    assert voided.outcome == "inconclusive" and "unlucky key" in voided.reason and not voided.sources
    assert trace(bound, suspect, keyring, tmp_path, MANY).outcome == "inconclusive", "an unlucky key stays unlucky"
    with pytest.raises(InputError, match="own weights"):
        trace(bound, suspect, keyring, tmp_path, MANY, control=suspect)


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
    assert broken.outcome == "inconclusive" and "NaN" in broken.reason and broken.plans_tried == 0
    assert trace(bound, Broken("broken"), keyring, tmp_path, MANY).plans_tried == 0, "there was nothing to look at"


@pytest.mark.parametrize("serials", [range(0), range(0, 5), range(1, 10_000_002)])
def test_recipients_that_cannot_be_tested_are_refused(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path, serials: range
) -> None:
    bound, keyring = marked
    with pytest.raises(InputError, match="cannot be tested"):
        trace(bound, FakeSuspect("anyone"), keyring, tmp_path, serials)


def test_a_release_of_which_all_have_the_same_copy_names_nobody(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    source = recaption(make_folder(tmp_path / "d", 60), varied_captions(60))
    options = Options(rate=0.2, slots=1, queries=4, decoys=99, alpha=0.05)
    bound = embed(source, tmp_path / "out", options, keyring, secret=secret_from_seed(0, "test")).bound
    with pytest.raises(InputError, match="all have the same copy"):
        trace(bound, FakeSuspect("anyone"), keyring, tmp_path, MANY)


def test_answers_that_were_lost_and_drawn_anew_are_a_further_look(
    marked: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring = marked
    first = trace(bound, Restless("restless"), keyring, tmp_path / "cache", MANY)
    same = trace(bound, Restless("restless"), keyring, tmp_path / "cache", MANY)
    assert first.plans_tried == same.plans_tried == 1 and first.some == same.some
    other = trace(bound, Restless("restless", turn=1), keyring, tmp_path / "another cache", MANY)
    assert other.plans_tried == 2 and other.alpha == first.alpha / 2
    assert set(other.answers_sha256).isdisjoint(first.answers_sha256)


class Restless(FakeSuspect):
    """Answers otherwise every time."""

    repeatable = False

    def __init__(self, name: str, turn: int = 0) -> None:
        super().__init__(name)
        self.turn = turn

    def paint(self, query: Query) -> NDArray[np.uint8]:
        return super().paint(Query(query.prompt, query.seed + self.turn))


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> tuple[BoundRelease, Keyring]:
    """A painted release with the bits of a tracing code."""
    folder = tmp_path_factory.mktemp("painted")
    keyring = Keyring(folder / "home")
    source = recaption(make_folder(folder / "d", 60), varied_captions(60))
    options = Options(
        rate=0.9, family="template", alignment="twa", slots=27, queries=2, decoys=99, alpha=0.05, recipients=True
    )
    return embed(source, folder / "out", options, keyring, secret=secret_from_seed(5, "code")).bound, keyring


def test_painted_copies_are_told_apart_by_their_bits(painted: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = painted
    few = range(1, 11)
    found = trace(bound, Painter(bound, keyring, [4]), keyring, tmp_path, few)
    assert (found.outcome, [source.serial for source in found.sources]) == ("named", [4])
    assert trace(bound, Painter(bound, keyring, [40]), keyring, tmp_path, few).outcome == "nobody"
    assert trace(bound, FakeSuspect("noise"), keyring, tmp_path, few).outcome == "nobody"
