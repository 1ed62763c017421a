"""Painted copies end to end: issued by a tracing code, and named by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detect.suspects.images.suspect import Query
from detect.trace.trace import trace
from protect.embed.write import embed
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.bound import BoundRelease, bind
from protect.release.plan import Options
from tests.support.datasets import make_folder, recaption, varied_captions
from tests.support.suspects import FakeSuspect, Guilty

SLOTS, EVERYBODY = 32, range(1, 31)
CODED = Options(
    rate=0.8, family="template", alignment="twa", slots=SLOTS, queries=4, decoys=99, alpha=0.05, recipients=True
)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> tuple[BoundRelease, Keyring]:
    folder = tmp_path_factory.mktemp("coded")
    source, keyring = recaption(make_folder(folder / "d", 80), varied_captions(80)), Keyring(folder / "home")
    return embed(source, folder / "out", CODED, keyring, secret=secret_from_seed(6, "coded")).bound, keyring


class Mixed(FakeSuspect):
    """Half of its slots are from one copy, half from another."""

    def __init__(self, first: Guilty, second: Guilty) -> None:
        super().__init__("mixed")
        self.copies = [first, second]

    def paint(self, query: Query) -> np.ndarray:
        slot = next((s.number for s in self.copies[0].bound.slots if s.trigger in query.prompt), 0)
        return self.copies[slot % 2].paint(query)


def leaker(bound: BoundRelease, keyring: Keyring, serial: int) -> Guilty:
    return Guilty(bind(bound.release, keyring.store, str(serial)), f"leaker {serial}")


@pytest.mark.parametrize("serial", [1, 17])
def test_who_leaked_is_named_by_the_bits(coded: tuple[BoundRelease, Keyring], tmp_path: Path, serial: int) -> None:
    bound, keyring = coded
    found = trace(bound, leaker(bound, keyring, serial), keyring, tmp_path, EVERYBODY)
    assert found.outcome == "named" and [source.serial for source in found.sources] == [serial]
    (source,) = found.sources
    assert source.e_value >= found.threshold == 30 / found.alpha and source.p_value <= found.alpha


def test_nobody_is_named_for_an_innocent_or_a_copy_of_nobody(
    coded: tuple[BoundRelease, Keyring], tmp_path: Path
) -> None:
    bound, keyring = coded
    for suspect in (FakeSuspect("noise"), leaker(bound, keyring, 900)):
        found = trace(bound, suspect, keyring, tmp_path, EVERYBODY)
        assert found.outcome in ("nobody", "inconclusive", "some copy") and not found.sources
    assert trace(bound, FakeSuspect("noise"), keyring, tmp_path, EVERYBODY).outcome == "nobody"


def test_a_mixture_names_no_third_party(coded: tuple[BoundRelease, Keyring], tmp_path: Path) -> None:
    bound, keyring = coded
    mixed = Mixed(leaker(bound, keyring, 3), leaker(bound, keyring, 8))
    found = trace(bound, mixed, keyring, tmp_path, EVERYBODY)
    assert {source.serial for source in found.sources} <= {3, 8}
