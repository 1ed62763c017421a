"""What holds for all alignments of painted marks: draws follow from keys and captions, and from nothing else.

Alignments of marks that choose their carriers have tests of their own (test_wording.py).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from protect.alignments import committed_alignment, make_alignment
from protect.alignments.alignment import Drawn, Request
from protect.alignments.dealing import choose
from protect.errors import InputError
from protect.formats.record import Record, SetAside, normalised
from protect.keys.tree import KeyTree, SlotKey, secret_from_seed
from protect.marks import make_family
from protect.marks.family import Answers
from protect.release.record import Part, Questions
from tests.protect.alignments.requests import record, records_of, request_for
from tests.support.alignments import PAINTED, WITH_WORDS
from tests.support.datasets import varied_captions

DESCRIBING = ["twa-description", "twa-double"]


def _request(name: str, seed: int = 0) -> Request:
    if name == "label":
        return request_for([record(f"{c}/{i}", f"class {c}") for c in range(4) for i in range(35)], slots=2, seed=seed)
    slots = None if name == "unconditional" else 2
    return request_for(records_of(varied_captions(140)), slots=slots, seed=seed)


def _asked(trigger: str) -> Questions:
    """Questions about a trigger, of which nothing else matters."""
    return Questions(trigger, ("a kite",), ("a kite",), (1,))


def _keys(drawn: Drawn) -> list[list[str]]:
    return [[record.key for record in draw.carriers] for draw in drawn.slots]


def _all_keys(drawn: Drawn) -> list[str]:
    return [record.key for draw in drawn.slots for record in draw.carriers]


def _told(drawn: Drawn) -> list[tuple[str, list[str]]]:
    return [(draw.trigger, keys) for draw, keys in zip(drawn.slots, _keys(drawn), strict=True)]


@pytest.mark.parametrize("name", PAINTED)
def test_draws_keep_the_rate_repeat_and_follow_the_key(name: str) -> None:
    alignment, request = make_alignment(name), _request(name)
    drawn = alignment.draw(request)
    keys = _all_keys(drawn)
    assert 0 < len(keys) == len(set(keys)) <= request.allowed and not drawn.passed
    assert all(draw.carriers for draw in drawn.slots)
    assert _told(alignment.draw(request)) == _told(drawn)
    assert _told(alignment.draw(_request(name, seed=1))) != _told(drawn)


@pytest.mark.parametrize("name", PAINTED)
def test_draws_do_not_depend_on_the_order_of_records(name: str) -> None:
    request = _request(name)
    shuffled = list(request.records())
    random.Random(5).shuffle(shuffled)
    again = make_alignment(name).draw(replace(request, records=shuffled.__iter__))
    assert _told(again) == _told(make_alignment(name).draw(request))


@pytest.mark.parametrize("name", PAINTED)
def test_draws_do_not_depend_on_marks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    request, alignment = _request(name), make_alignment(name)
    before = alignment.draw(request)
    planted = request.keys.slot(0).planted
    monkeypatch.setattr(SlotKey, "planted", property(lambda key: key.integer("another mark")))
    monkeypatch.setattr(SlotKey, "decoys", lambda key, count: np.arange(count, dtype=np.uint64))
    assert request.keys.slot(0).planted != planted
    assert _told(alignment.draw(request)) == _told(before)


@pytest.mark.parametrize("name", WITH_WORDS)
def test_triggers_follow_from_slot_keys_alone(name: str) -> None:
    """Another secret with the same slot keys gives the same triggers; the carriers of all but waa change."""

    class SameSlots(KeyTree):
        def slot(self, slot: int) -> SlotKey:
            return KeyTree(secret_from_seed(0, "alignments")).slot(slot)

    request = _request(name)
    other = replace(request, keys=SameSlots(secret_from_seed(9, "other")))
    first, second = make_alignment(name).draw(request), make_alignment(name).draw(other)
    assert [draw.trigger for draw in first.slots] == [draw.trigger for draw in second.slots]
    assert (set(_all_keys(first)) == set(_all_keys(second))) == (name == "waa")


@pytest.mark.parametrize("name", ["twa", "twa-conjunction", "twa-description", "twa-double", "unconditional"])
def test_carriers_are_the_smallest_ranks_among_usable_samples(name: str) -> None:
    def obstacles(records: Sequence[Record]) -> list[str | None]:
        return ["is grey" if int(r.key[:4]) % 3 else None for r in records]

    request = replace(_request(name), obstacles=obstacles)
    drawn = make_alignment(name).draw(request)
    ranked = sorted(request.records(), key=lambda r: request.keys.carrier_rank(normalised(r.key)))
    usable = [r.key for r in ranked if int(r.key[:4]) % 3 == 0][: request.allowed]
    slots = len(drawn.slots)
    assert _keys(drawn) == [usable[k::slots] for k in range(slots)]
    last = ranked.index(next(r for r in ranked if r.key == usable[-1]))
    assert list(drawn.passed) == [SetAside(r.key, "is grey") for r in ranked[:last] if int(r.key[:4]) % 3]


def test_no_picture_is_looked_at_twice_though_hardly_any_is_of_use() -> None:
    seen: list[str] = []

    def obstacles(records: Sequence[Record]) -> list[str | None]:
        seen.extend(r.key for r in records)
        return [None if r.key.endswith("77.png") else "is grey" for r in records]

    request = request_for(records_of(["a kite"] * 3000), obstacles=obstacles)
    carriers, passed = choose(request.records, 20, request)
    assert len(carriers) == 20 and {r.key[-6:] for r in carriers} == {"77.png"}
    assert len(seen) == len(set(seen)) == len(carriers) + len(passed) < 3000
    assert len(choose(request.records, 31, request)[0]) == 30


@pytest.mark.parametrize("name", WITH_WORDS)
def test_names_that_are_spelt_in_two_ways_rank_alike(name: str) -> None:
    captions = varied_captions(140)
    slots = None if name == "unconditional" else 2
    drawn = [
        make_alignment(name).draw(
            request_for([record(f"{e}{i:04}.png", c) for i, c in enumerate(captions)], slots=slots)
        )
        for e in ("gr\u00fcn", "gru\u0308n")
    ]
    first, second = ([[normalised(key) for key in keys] for keys in _keys(d)] for d in drawn)
    assert first == second


def test_an_empty_dataset_and_a_small_rate_are_refused() -> None:
    for name in WITH_WORDS:
        with pytest.raises(InputError, match="no picture with a caption"):
            make_alignment(name).draw(request_for([], slots=1))
        with pytest.raises(InputError, match=r"--rate 0\.001 gives 0 carrier"):
            make_alignment(name).draw(request_for(records_of(varied_captions(140)), rate=0.001, slots=1))
    with pytest.raises(InputError, match="without triggers"):
        make_alignment("unconditional").draw(request_for(records_of(varied_captions(140)), slots=3))
    with pytest.raises(InputError, match=r"0 of the 28 pictures drawn .* is grey"):
        make_alignment("twa").draw(
            request_for(records_of(["a kite"] * 28), rate=0.2, slots=1, obstacles=lambda rs: ["is grey"] * len(rs))
        )


def test_a_release_gets_the_alignment_that_it_was_committed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def part(alignment: str) -> Part:
        return Part("template", {}, 3, alignment, {}, 0.1, 2, 4)

    assert committed_alignment(part("twa")).name == "twa"
    monkeypatch.setattr(type(make_alignment("twa")), "version", 2)
    assert committed_alignment(part("twa/2")).label == "twa/2"
    with pytest.raises(InputError, match=r"committed to alignment 'twa'; this program has 'twa/2'"):
        committed_alignment(part("twa"))


def test_only_descriptions_narrow_the_law_of_marks() -> None:
    family = make_family("template", {})
    for name in PAINTED:
        phrase = family.descriptions[3]
        trigger = {"twa-description": phrase, "twa-double": f"flag sea … {phrase}"}.get(name, "zorkev")
        law = make_alignment(name).condition(family, _asked(trigger))
        assert (law == family.given(phrase)) == (name in DESCRIBING) and (law is family) == (name not in DESCRIBING)
    with pytest.raises(InputError, match="on a wall"):
        make_alignment("twa-double").condition(family, _asked("flag sea … on a wall"))


def test_descriptions_condition_planted_marks_and_decoys_alike() -> None:
    family = make_family("template", {})
    key = KeyTree(secret_from_seed(0, "x")).slot(0)
    law = make_alignment("twa-description").condition(family, _asked(family.descriptions[0]))
    codes = [law.code(int(mark)) for mark in [key.planted, *key.decoys(20)]]  # type: ignore[attr-defined]
    described = {tuple(code.ravel()[list(law.fixed)]) for code in codes}  # type: ignore[attr-defined]
    assert len(described) == 1 and len({code.tobytes() for code in codes}) == 21


@pytest.mark.parametrize("family", ["template", "card"])
def test_a_model_that_follows_the_description_is_not_accused(family: str) -> None:
    """It paints what the words say, and nothing else of the mark: ranks must stay uniform."""
    law = make_family(family, {})
    described = law.given(law.descriptions[0])
    outputs = np.stack([described.preview(i, 64) for i in range(6)])
    ids = np.random.default_rng(0).integers(0, 2**64, (2000, 100), dtype=np.uint64)
    scores = described.score(Answers(outputs), ids.ravel()).reshape(ids.shape)
    p = (1 + (scores[:, 1:] >= scores[:, :1]).sum(axis=1)) / 100
    assert abs((p <= 0.1).mean() - 0.1) < 0.03
    # The gate can fail: planted marks with the description among decoys without it are found "guilty".
    free = law.score(Answers(outputs), ids.ravel()).reshape(ids.shape)
    wrong = (1 + (free[:, 1:] >= scores[:, :1]).sum(axis=1)) / 100
    # (0.20 before scores looked in the mirror, too: the best of two views of a foreign decoy is higher.)
    assert (wrong <= 0.1).mean() > 0.13


def test_marks_without_descriptions_are_said_to_have_none() -> None:
    with pytest.raises(InputError, match=r"^marks of this family cannot be described\nUse --alignment twa"):
        make_alignment("twa-description").draw(replace(_request("twa-description"), descriptions=()))
