"""Nobody is named by chance: the tails are upper bounds, and captions by lot are given to nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import special, stats

from protect.embed.write import embed
from protect.errors import ReleaseError
from protect.execution.engine import Threads
from protect.formats import open_dataset
from protect.keys.code import TracingCode
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.recipients.chance import chance_of_bits, chance_of_cosines
from protect.recipients.entry import Entry
from protect.recipients.find import release_and_recipient
from protect.recipients.ledger import open_ledger
from protect.recipients.materialise import materialise
from tests.support.lean_releases import COUNT, SECRET, WORDING, site_of, with_list
from tests.support.leaning import make_varied_folder, sayable_captions

TRIES, ISSUED, ALPHA = 40, 300, 1e-3


def test_cosines_of_one_slot_are_bounded_by_the_law_of_the_sphere() -> None:
    for length, cosine in product((6, 24), (0.1, 0.4, 0.7, 0.95)):
        exact = special.betainc((length - 1) / 2, 0.5, 1 - cosine**2) / 2
        assert exact <= chance_of_cosines(cosine, 1, length) < 60 * exact
    assert chance_of_cosines(-0.5, 2, 24) == 1


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_chances_of_cosines_are_p_values(slots: int) -> None:
    rng = np.random.default_rng(slots)
    drawn = rng.normal(size=(20_000, slots, 6))
    total = (drawn[:, :, 0] / np.linalg.norm(drawn, axis=2)).sum(axis=1)
    chances = np.array([chance_of_cosines(one, slots, 6) for one in total])
    for level in (0.3, 0.05, 0.005):
        assert stats.binom.sf((chances <= level).sum() - 1, len(chances), level) > 1e-3
    assert chances.min() < 0.01, "it can be small"


def test_chances_of_bits_are_the_whole_law() -> None:
    """Against all 2**7 words of a small code, one after another."""
    code = TracingCode(secret_from_seed(1, "bits"), "", 7)
    counted = np.random.default_rng(0).integers(0, 4, (7, 2))
    words = np.array(list(product((0, 1), repeat=7)))
    likely = np.where(words, code.bias, 1 - code.bias).prod(axis=1)
    agreed = counted[np.arange(7), words].sum(axis=1)
    for least in range(int(agreed.min()), int(agreed.max()) + 2):
        assert chance_of_bits(counted, code.bias, least) == pytest.approx(likely[agreed >= least].sum())


@pytest.fixture(scope="module", params=[1, 4])
def issued(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Callable[..., str], int]:
    """What tells whose a copy is with these captions; how many slots. Three hundred people have copies."""
    folder = tmp_path_factory.mktemp("issued")
    keyring, source = Keyring(folder / "home"), make_varied_folder(folder / "d", sayable_captions(COUNT))
    options = replace(WORDING, slots=request.param, decoys=9_999, alpha=ALPHA, recipients=True)
    done = embed(source, folder / "out", with_list(options, keyring), keyring, secret=SECRET)
    with open_ledger(keyring) as ledger:
        ledger.issue(done.release, ((f"row {n}", Entry(f"name {n}")) for n in range(1, ISSUED + 1)))
        person = ledger.one(done.release.id, "17")
    copy = materialise(done.release, person, folder / "copy", keyring, engine=Threads(), link=True).output
    original = [json.loads(line) for line in (source / "metadata.jsonl").read_text().splitlines()]
    given = [json.loads(line) for line in (copy / "metadata.jsonl").read_text().splitlines()]
    sites = [site_of(slot) for slot in done.bound.slots]

    def said(which: str, rng: np.random.Generator) -> str:
        rows = [dict(row) for row in (original if which in ("original", "lot") else given)]
        if which == "half":
            rows = [rows[place] for place in rng.permutation(len(rows))[: len(rows) // 2]]
        for row, site in product(rows, sites if which == "lot" else ()):
            if site.state(row["text"]) is not None:
                row["text"] = site.turned(row["text"], int(rng.integers(2)))
        (copy / "metadata.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n")
        try:
            return release_and_recipient(open_dataset(copy), keyring).in_words()
        except ReleaseError:
            return ""

    return said, request.param


def test_captions_by_lot_are_given_to_nobody_beyond_alpha_and_copies_to_their_recipients(
    issued: tuple[Callable[..., str], int],
) -> None:
    said, slots = issued
    rng = np.random.default_rng(0)
    tries = TRIES if slots == 1 else 8
    named_by_lot = sum(bool(said("lot", rng)) for _ in range(tries))
    assert stats.binom.sf(named_by_lot - 1, tries, ALPHA) > ALPHA, "at level alpha one of forty is seen at times"
    assert said("original", rng) == ""
    named = [said(which, rng) for which in ("whole", "half", "half", "half")]
    assert named == ["recipient 17 (name 17)"] * 4 if slots == 4 else set(named) <= {"", "recipient 17 (name 17)"}
