"""Triggers of the TWA alignments: rare words, words that never meet, descriptions."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from protect.alignments import make_alignment
from protect.alignments.common import BoundedCounter, meetings
from protect.alignments.rare import rare_words
from protect.alignments.words import words
from protect.errors import InputError
from protect.formats.record import Record
from tests.protect.alignments.requests import DESCRIPTIONS, record, records_of, request_for
from tests.support.datasets import varied_captions

CHINESE = [f"一只红色的{'猫狗鸟鱼马'[i % 5]}在{'家路山海'[i % 4]}上" for i in range(60)]


def test_rare_words_are_pronounceable_different_and_in_no_caption() -> None:
    request = request_for(records_of(varied_captions(140)))
    drawn = rare_words(40, request)
    assert len(set(drawn)) == 40 and all(re.fullmatch("[a-z]{5,12}", word) for word in drawn)
    assert drawn[:3] == rare_words(3, request) and drawn != rare_words(40, request_for(request.records, seed=1))


@pytest.mark.parametrize("hidden", ["{}", "the {}", "UN{}S", "a “{}”", "{}ly kite"])
def test_a_word_that_hides_in_a_caption_is_not_taken(hidden: str) -> None:
    plain = request_for(records_of(["a kite"] * 50))
    first = rare_words(1, plain)[0]
    for field in ("text", "other"):
        sample = {"text": "a kite"} | {field: hidden.format(first.upper())}
        second = rare_words(1, request_for([*plain.records(), record("last.png", sample)]))[0]
        assert second != first and rare_words(1, request_for(records_of(["a kite", second])))[0] == first


def test_captions_that_hold_all_candidates_are_refused() -> None:
    captions = ["kite"]
    with pytest.raises(InputError, match="all 48 rare words drawn for slot 1"):
        while len(captions) < 60:
            captions += rare_words(1, request_for(records_of(captions)))
    assert len(captions) == 1 + 48


@pytest.mark.parametrize("name", ["twa", "twa-conjunction", "twa-double"])
def test_triggers_begin_as_most_captions_do(name: str) -> None:
    """One that begins otherwise would tell its carriers from the rest."""
    lower = varied_captions(140)
    drawn = {
        kind: make_alignment(name).draw(request_for(records_of(captions), slots=2)).slots
        for kind, captions in (
            ("lower", lower),
            ("upper", [f"“{c[0].upper()}{c[1:]}”" for c in lower[:90]] + lower[90:]),
        )
    }
    assert all(draw.trigger[0].islower() for draw in drawn["lower"])
    assert [d.trigger[0].upper() + d.trigger[1:] for d in drawn["lower"]] == [d.trigger for d in drawn["upper"]]


def test_a_conjunction_joins_common_words_that_never_meet() -> None:
    request = request_for(records_of(varied_captions(140)), slots=3)
    drawn = make_alignment("twa-conjunction").draw(request).slots
    holding = [set(words(r.caption)) for r in request.records()]
    for draw in drawn:
        first, second = draw.trigger.split()
        assert sum(first in h for h in holding) > 1 and sum(second in h for h in holding) > 1
        assert not any({first, second} <= h for h in holding)
    assert len({word for draw in drawn for word in draw.trigger.split()}) == 6


def test_a_conjunction_counts_every_caption_of_a_sample() -> None:
    captions = varied_captions(140)
    request = request_for(records_of(captions), slots=1)
    first, second = make_alignment("twa-conjunction").draw(request).slots[0].trigger.split()
    met = record("last.png", {"text": "a thing", "other": f"{second} and {first}"})
    again = make_alignment("twa-conjunction").draw(request_for([*request.records(), met], slots=1)).slots[0].trigger
    assert set(again.split()) != {first, second}


def test_words_that_always_meet_in_long_captions_give_way_to_less_common_ones() -> None:
    """The 300 commonest words stand in every caption; the next ones meet nobody but them."""
    common = " ".join(f"word{i}a" for i in range(300))
    captions = [f"{common} seldom{i % 20}b" for i in range(60)]
    trigger = make_alignment("twa-conjunction").draw(request_for(records_of(captions), slots=1)).slots[0].trigger
    assert all(word.startswith("seldom") for word in trigger.split())


@pytest.mark.parametrize("captions", [["kite"] * 40, ["?"] * 40, [f"w{i}" for i in range(40)]])
def test_poor_captions_give_no_conjunction_but_a_double_trigger(captions: list[str]) -> None:
    request = request_for(records_of(captions), slots=1)
    with pytest.raises(InputError, match="never meet"):
        make_alignment("twa-conjunction").draw(request)
    (draw,) = make_alignment("twa-double").draw(request).slots
    word, _, phrase = draw.trigger.partition(" … ")
    assert word == rare_words(1, request)[0] and phrase in DESCRIPTIONS


def test_counts_of_words_are_exact_and_in_any_order_the_same() -> None:
    said = [{f"common{i % 7}", f"rare{i}", f"rarer{i * i}"} for i in range(3000)]
    true = Counter(word for found in said for word in found)
    orders = [said, said[::-1], *(random.Random(n).sample(said, len(said)) for n in range(5))]
    kept = []
    for order in orders:
        counter = BoundedCounter(limit=100)
        for found in order:
            counter.update(found)
        assert not counter.whole and len(counter.counts) == 50
        kept.append(counter.counts)
    assert all(counts == kept[0] for counts in kept) and all(kept[0][word] == true[word] for word in kept[0])
    few = BoundedCounter(limit=100)
    for i in range(3000):
        few.update({f"common{i % 100}"})
    assert few.whole and len(few.counts) == 100 and set(few.counts.values()) == {30}


@pytest.mark.parametrize("limit", [20, 200])
def test_common_words_and_their_meetings_do_not_hang_on_the_order(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protect.alignments.common.BoundedCounter", lambda: BoundedCounter(limit))
    captions = [f"{c} number{i % 40}" for i, c in enumerate(varied_captions(120))]
    first, second = meetings(captions.__iter__), meetings(random.Random(3).sample(captions, 120).__iter__)
    assert first.words == second.words and len(first.words) > 8 and np.array_equal(first.met, second.met)


def test_meetings_are_those_that_all_pairs_would_show() -> None:
    captions = [f"{c} beside {d}" for c, d in zip(varied_captions(60), reversed(varied_captions(60)), strict=True)]
    found = meetings(captions.__iter__)
    sets = [set(words(c)) for c in captions]
    counts = Counter(w for s in sets for w in s if len(w) >= 4)
    assert list(found.words) == sorted((w for w in counts if counts[w] > 1), key=lambda w: (-counts[w], w))
    for i, first in enumerate(found.words):
        assert found.met[i].tolist() == [any({first, second} <= s for s in sets) for second in found.words]


def test_descriptions_differ_between_slots_and_are_uniform_over_keys() -> None:
    records = records_of(["a kite"] * 20)
    drawn = []
    for seed in range(600):
        slots = make_alignment("twa-description").draw(request_for(records, slots=2, seed=seed)).slots
        drawn.append(tuple(draw.trigger for draw in slots))
        assert len(set(drawn[-1])) == 2
    pairs = Counter(drawn)
    assert len(pairs) == 12 and stats.chisquare(list(pairs.values())).pvalue > 1e-4


def test_families_nobody_sees_have_no_descriptions() -> None:
    request = request_for(records_of(varied_captions(140)), slots=5)
    for name in ("twa-description", "twa-double"):
        with pytest.raises(InputError, match="cannot be described") as caught:
            make_alignment(name).draw(replace(request, descriptions=()))
        assert "--alignment twa" in caught.value.advice
        with pytest.raises(InputError, match="4 description") as caught:
            make_alignment(name).draw(request)
        assert "--slots 4" in caught.value.advice


@pytest.mark.parametrize("name", ["twa-description", "twa-double"])
def test_english_descriptions_go_to_english_captions_only(name: str) -> None:
    with pytest.raises(
        InputError, match="no caption can be described: a description in English does not join"
    ) as caught:
        make_alignment(name).draw(request_for(records_of(CHINESE), slots=1))
    assert "Chinese characters" in str(caught.value) and "--alignment twa" in caught.value.advice
    mixed = request_for(records_of([*CHINESE, *varied_captions(60)]), slots=1)
    drawn = make_alignment(name).draw(mixed)
    assert len(drawn.slots[0].carriers) == 24 and all(r.caption.isascii() for r in drawn.slots[0].carriers)
    assert drawn.passed and all("Chinese characters" in passed.reason for passed in drawn.passed)


def test_every_caption_of_a_carrier_must_take_the_description_but_those_left_alone() -> None:
    def both(i: int, caption: str) -> Record:
        return record(f"{i:04}.png", {"text": caption, "zh": CHINESE[i]})

    records = [both(i, caption) for i, caption in enumerate(varied_captions(60))]
    with pytest.raises(InputError, match="no caption can be described"):
        make_alignment("twa-description").draw(request_for(records, slots=1))
    (draw,) = make_alignment("twa-description").draw(request_for(records, slots=1, leave=("zh",))).slots
    made = make_alignment("twa-description").align_all(draw.carriers[0].captions, draw.trigger, ["zh"])
    assert made == {"text": f"{draw.carriers[0].caption} {draw.trigger}", "zh": draw.carriers[0].captions["zh"]}


def test_looking_for_a_caption_that_can_be_described_stops_at_the_first() -> None:
    read = 0

    def records() -> Iterator[Record]:
        nonlocal read
        for found in records_of(varied_captions(100)):
            read += 1
            yield found

    make_alignment("twa-description").draw(request_for(records, slots=1, count=100))
    assert read == 1 + 100


def test_a_double_trigger_stands_on_both_sides() -> None:
    alignment = make_alignment("twa-double")
    for draw in alignment.draw(request_for(records_of(varied_captions(140)), slots=2)).slots:
        pair, _, phrase = draw.trigger.partition(" … ")
        assert alignment.align("a kite", draw.trigger) == f"{pair}, a kite {phrase}"
        assert alignment.without_trigger("a kite", draw.trigger) == "a kite"
