"""Wording: which captions change follows from looks and marks; what will be asked follows from neither."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from protect.alignments import committed_alignment, make_alignment
from protect.alignments.alignment import Drawn, Request
from protect.alignments.sites import draw
from protect.alignments.wording import Wording
from protect.errors import InputError
from protect.formats.record import Record
from protect.keys.store import NO_STORE, Store
from protect.keys.tree import SlotKey
from protect.marks import make_family
from protect.marks.lean import Lean
from protect.release.record import Part
from tests.protect.alignments.requests import records_of, request_for
from tests.support.leaning import sayable_captions, store_phrases

Leanings = NDArray[np.float64]
COUNT, SLOTS = 120, 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def wording(store: Store) -> Wording:
    """With an owner's list of six sites."""
    made = make_alignment("wording", {"wordings": store_phrases(store.folder / "list", store)}, store)
    assert isinstance(made, Wording)
    return made


def _random_leanings(seed: int, count: int = COUNT) -> Leanings:
    return np.random.default_rng(seed).normal(size=(count, 8))


def _request(
    leanings: Leanings | None = None,
    records: Sequence[Record] | None = None,
    *,
    rate: float = 0.5,
    slots: int | None = SLOTS,
    seed: int = 0,
) -> Request:
    made = records_of(sayable_captions(COUNT)) if records is None else records
    lean = _random_leanings(1, len(made)) if leanings is None else leanings
    request = request_for(made, rate=rate, slots=slots, seed=seed)
    return replace(request, leanings=lambda slot: lean[:, slot], queries=48)


def _changed(drawn: Drawn) -> set[tuple[str, int, int]]:
    """Key, slot and new side of every change."""
    return {
        (record.key, slot, side)
        for slot, draw in enumerate(drawn.slots)
        for side, records in ((1, draw.carriers), (0, draw.opposite))
        for record in records
    }


def _strengths(request: Request, drawn: Drawn, wording: Wording, leanings: Leanings) -> tuple[Leanings, Leanings]:
    """Per sample and slot: the signed distance from the median of those that fit, and the side; NaN where none."""
    triggers = [draw.trigger for draw in drawn.slots]
    sides = np.array(
        [[wording.sites[t].state(r.caption) for t in triggers] for r in request.records()], dtype=np.float64
    )
    lean = np.where(np.isnan(sides), np.nan, leanings[:, : len(triggers)])
    return lean - np.nanmedian(lean, axis=0), sides


def test_neither_sites_nor_questions_depend_on_marks_or_looks(
    wording: Wording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever leans wherever, and whatever is planted: the same is asked in the same words."""
    first, other = _request(), _request(_random_leanings(2))
    drawn, again = wording.draw(first), wording.draw(other)
    assert _changed(drawn) != _changed(again)
    asked = wording.ask(drawn, first)
    assert asked == wording.ask(again, other)
    planted = first.keys.slot(0).planted
    monkeypatch.setattr(SlotKey, "planted", property(lambda key: key.integer("another mark")))
    monkeypatch.setattr(SlotKey, "decoys", lambda key, count: np.arange(count, dtype=np.uint64))
    assert first.keys.slot(0).planted != planted and wording.ask(wording.draw(first), first) == asked


def test_sites_and_questions_follow_the_key(wording: Wording) -> None:
    def told(seed: int) -> list[object]:
        request = _request(seed=seed)
        drawn = wording.draw(request)
        questions = wording.ask(drawn, request)
        return [tuple(d.trigger for d in drawn.slots), questions[0].prompts, questions[0].seeds, questions[0].design]

    assert told(0) == told(0)
    others = [told(seed) for seed in range(1, 4)]
    assert len({str(o[0]) for o in (told(0), *others)}) > 1
    assert all(one != other for o in others for one, other in zip(o[1:], told(0)[1:], strict=True))


def test_draws_do_not_depend_on_the_order_of_records(wording: Wording) -> None:
    leanings, order = _random_leanings(1), list(range(COUNT))
    random.Random(5).shuffle(order)
    made = records_of(sayable_captions(COUNT))
    first, second = _request(leanings, made), _request(leanings[order], [made[i] for i in order])
    drawn, again = wording.draw(first), wording.draw(second)
    assert _changed(drawn) == _changed(again) and wording.ask(drawn, first) == wording.ask(again, second)


def _sentences_and_tags(count: int) -> list[Record]:
    """As many lists of tags as sentences, the sentences first; some captions stand twice."""
    tags = [f"{i % 150}girls, long_hair, {'smile' if i % 3 else 'sea'}, sky, number {i % 150}" for i in range(count)]
    return records_of([*sayable_captions(count), *tags])


def test_no_order_of_samples_chooses_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples that are looked at are not all: sorted by kind, their front would show one kind alone."""
    monkeypatch.setattr(draw, "_COUNTED", 350)
    samples = _sentences_and_tags(400)
    by_caption = sorted(samples, key=lambda record: record.caption)
    orders = [samples, by_caption, *(random.Random(n).sample(samples, 800) for n in range(3))]
    sites = draw.all_sites("", NO_STORE)
    of_key = []
    for seed in range(2):
        found = [draw.draw_sites(sites, order, 3, np.random.default_rng(seed)) for order in orders]
        assert len(set(found)) == 1 and len(found[0]) == 3
        of_key.append(found[0])
    assert len(set(of_key)) > 1


def test_samples_with_one_caption_count_each() -> None:
    """Three quarters of the samples say the same; what fits only the others is not taken for common."""
    samples = records_of(["a picture of a dog with a spot"] * 3_900 + [f"kite, sea, number {i}" for i in range(100)])
    site = [s for s in draw.all_sites("", NO_STORE) if s.name.startswith("tags:")]
    with pytest.raises(InputError, match=r"0 choice\(s\) of words go together in these 4000 captions"):
        draw.draw_sites(site, samples, 1, np.random.default_rng(0))


def test_pictures_that_lean_alike_are_told_apart_by_their_keys(wording: Wording) -> None:
    """Not by their places: pictures can be alike, and then the order of the samples would choose among them."""
    made = records_of(sayable_captions(COUNT))
    leanings = np.repeat(np.array([[-2.0], [-1.0], [1.0], [2.0]]), COUNT // 4, axis=0) * np.ones(8)
    first = _request(leanings, made, rate=0.1)
    changed = _changed(wording.draw(first))
    assert len({key for key, _, _ in changed}) == first.allowed == 12
    for seed in range(5):
        order = random.Random(seed).sample(range(COUNT), COUNT)
        again = _request(leanings[order], [made[i] for i in order], rate=0.1)
        assert _changed(wording.draw(again)) == changed
    distance, sides = _strengths(first, wording.draw(first), wording, leanings)
    tied = [
        r.key for r, row, side in zip(made, distance, sides, strict=True) if np.any((side != (row > 0)) * row**2 == 4)
    ]
    assert {key for key, _, _ in changed} == set(sorted(tied)[:12]) and len(tied) > 12


@pytest.mark.parametrize("rate", [0.04, 0.1, 0.5, 1.0])
def test_captions_change_only_where_needed_and_within_the_rate(wording: Wording, rate: float) -> None:
    leanings = _random_leanings(1)
    request = _request(leanings, rate=rate)
    drawn = wording.draw(request)
    distance, sides = _strengths(request, drawn, wording, leanings)
    changed = _changed(drawn)
    samples = {key for key, _, _ in changed}
    assert len(samples) <= request.allowed and (rate > 0.5 or len(samples) == request.allowed)
    for key, slot, side in changed:
        place = int(key[:4])
        assert sides[place, slot] == 1 - side, "it had the other side"
        assert (distance[place, slot] > 0) == (side == 1), "and leans to the side that it gets"
    if rate == 1:
        turned = {(key, slot) for key, slot, _ in changed}
        after = [
            [s if (f"{i:04}.png", k) not in turned else 1 - s for k, s in enumerate(r)] for i, r in enumerate(sides)
        ]
        assert np.array_equal(np.array(after), distance > 0), "in the end each half has its own wording"
        assert all(draw.carriers and draw.opposite for draw in drawn.slots)


def test_those_that_lean_most_change_first(wording: Wording) -> None:
    leanings, before = _random_leanings(1), set[str]()
    for rate in (0.05, 0.2, 0.4):
        request = _request(leanings, rate=rate)
        drawn = wording.draw(request)
        distance, sides = _strengths(request, drawn, wording, leanings)
        wrong = np.where(sides != (distance > 0), np.abs(distance), 0).max(axis=1)
        samples = {key for key, _, _ in _changed(drawn)}
        inside = np.array([f"{i:04}.png" in samples for i in range(COUNT)])
        assert wrong[inside].min() > wrong[~inside].max() and before < samples
        before = samples


def test_the_design_is_what_the_prompts_say_and_contrasts_say_the_opposite(wording: Wording) -> None:
    """Decoded by the sites themselves, for captions of which some have no place for some sites."""
    captions = [
        c.replace(" with ", " and ").replace(" having ", " and ") if i % 3 else c
        for i, c in enumerate(sayable_captions(COUNT))
    ]
    request = _request(records=records_of(captions), slots=6)
    drawn = wording.draw(request)
    questions = wording.ask(drawn, request)
    assert len({q.prompts for q in questions}) == len({q.design for q in questions}) == 1, "they serve all slots"
    assert [q.column for q in questions] == list(range(6))
    asked, sites = questions[0], [wording.sites[q.trigger] for q in questions]
    of_sides = {1: 1, 0: -1, None: 0}
    for prompt, contrast, row in zip(asked.prompts, asked.contrasts, asked.design, strict=True):
        assert tuple(of_sides[site.state(prompt)] for site in sites) == row
        assert tuple(-of_sides[site.state(contrast)] for site in sites) == row
        back = [prompt, contrast]
        for site in sites:
            back = [site.turned(text, 0) for text in back]
        assert back[0] == back[1], "apart from the choices the two are one caption"
    assert all(wording.is_design_of(q) for q in questions)
    turned = tuple(tuple(-side for side in row) for row in asked.design)
    assert not any(wording.is_design_of(replace(q, design=turned)) for q in questions), "labels cannot be swapped"
    assert not any(wording.is_design_of(replace(q, design=asked.design[1:])) for q in questions)
    design = np.array(asked.design)
    assert {0} < set(design.ravel().tolist()) and np.linalg.matrix_rank(design) == 6
    placed = np.abs(design).sum(axis=0)
    assert placed.min() < 48 and np.all(np.abs(design.sum(axis=0)) < 3.5 * np.sqrt(placed))
    assert len(asked.prompts) == len(asked.seeds) == 48 == len(set(asked.seeds))


def test_questions_come_from_all_captions_and_not_from_those_that_change(wording: Wording) -> None:
    request = _request(rate=0.1)
    drawn = wording.draw(request)
    carriers = {r.caption for d in drawn.slots for r in (*d.carriers, *d.opposite)}
    numbers = [prompt.split()[-1] for prompt in wording.ask(drawn, request)[0].prompts]
    assert len(set(numbers)) == 48, "each caption once while there are enough"
    ours = {caption.split()[-1] for caption in carriers}
    assert 0 < len(ours & set(numbers)) < len(ours) == 12


def test_few_captions_are_asked_about_again_with_other_choices(wording: Wording) -> None:
    request = _request(records=records_of(sayable_captions(10)))
    asked = wording.ask(wording.draw(request), request)[0]
    assert len(asked.prompts) == 48 and len(set(asked.prompts)) > 10 and len(set(asked.seeds)) == 48


def test_samples_whose_pictures_cannot_be_read_take_no_part(wording: Wording) -> None:
    leanings = _random_leanings(1)
    lame = np.arange(COUNT) % 3 == 0
    leanings[lame] = np.nan
    drawn = wording.draw(_request(leanings, rate=1.0))
    keys = {int(key[:4]) for key, _, _ in _changed(drawn)}
    assert keys and all(place % 3 for place in keys)
    assert [draw.taught for draw in drawn.slots] == [int((~lame).sum())] * SLOTS
    alone = [r for i, r in enumerate(records_of(sayable_captions(COUNT))) if i % 3]
    assert _changed(wording.draw(_request(leanings[~lame], alone, rate=1.0))) == _changed(drawn)


def test_all_captions_of_a_sample_change_alike_but_for_those_left_alone(wording: Wording) -> None:
    site = next(name for name in wording.sites if "with" in name)
    captions = {"text": "a dog with a spot", "long": "Here is a dog with a grey spot", "tags": "dog, spot"}
    there = wording.align_all(captions, site, ())
    assert there == {k: v.replace("with", "having") for k, v in captions.items()} and there["tags"] == "dog, spot"
    assert wording.align_all(there, site, (), opposite=True) == captions
    assert wording.align_all(captions, site, (), opposite=True) == captions
    assert wording.align_all(captions, site, ("long",)) == there | {"long": captions["long"]}


def test_captions_that_are_all_alike_can_be_said_in_two_ways(wording: Wording) -> None:
    same = records_of(["a picture of a dog with a grey spot, number one"] * COUNT)
    drawn = wording.draw(_request(records=same, rate=1.0, slots=2))
    assert all(len(draw.carriers) == COUNT // 2 and not draw.opposite for draw in drawn.slots)


def test_too_few_sites_are_refused_with_those_that_fit(wording: Wording) -> None:
    some = records_of([f"a dog with a grey thing {i}" for i in range(COUNT)])
    with pytest.raises(
        InputError,
        match=r"2 choice\(s\) of words go together in these 120 captions, fewer than 4 slot\(s\); fitting: .* in 120",
    ) as raised:
        wording.draw(_request(records=some))
    assert "--slots 2" in str(raised.value) and "--wordings FILE" in str(raised.value)
    assert len(wording.draw(_request(records=some, slots=2)).slots) == 2
    with pytest.raises(InputError, match=r"0 choice\(s\)") as raised:
        wording.draw(_request(records=records_of(["dog"] * COUNT), slots=1))
    assert "--slots" not in str(raised.value)
    rarely = records_of([f"a dog {'with' if i < 5 else 'and'} a cat {i}" for i in range(COUNT)])
    with pytest.raises(InputError, match=r"0 choice\(s\)"):
        wording.draw(_request(records=rarely, slots=1))


def test_an_empty_dataset_and_a_small_rate_are_refused(wording: Wording) -> None:
    with pytest.raises(InputError, match="no picture with a caption"):
        wording.draw(_request(records=[]))
    with pytest.raises(InputError, match=r"--rate 0\.01 gives 1 carrier.* fewer than 4 slot") as raised:
        wording.draw(_request(rate=0.01))
    rate = float(str(raised.value).partition("Use --rate ")[2].split()[0])
    assert len(_changed(wording.draw(_request(rate=rate)))) >= 4


def test_no_draw_is_refused_for_its_marks(wording: Wording) -> None:
    """Even if nothing changes for a slot: a refusal would be a new draw, chosen by looks."""
    leanings = _random_leanings(1)
    leanings[:, 2] *= 1e-6
    drawn = wording.draw(_request(leanings, rate=0.1))
    assert not drawn.slots[2].carriers and not drawn.slots[2].opposite and drawn.slots[2].taught == COUNT


def test_painted_marks_are_refused(wording: Wording) -> None:
    with pytest.raises(InputError, match="needs a family that chooses carriers"):
        wording.draw(request_for(records_of(sayable_captions(COUNT))))


def test_captions_in_chinese_with_an_owner_s_list(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store_phrases(tmp_path, store, ("一张照片,一幅图像", "里有,中有", "。,！"))
    alignment = make_alignment("wording", {"wordings": name}, store)
    records = records_of([f"一张照片，盒子里有{'红蓝绿'[i % 3]}色的{'猫狗马鸟'[i % 4]}{i}。" for i in range(COUNT)])
    request = _request(records=records, rate=1.0, slots=3)
    drawn = alignment.draw(request)
    carrier = drawn.slots[0].carriers[0].caption
    assert alignment.align(carrier, drawn.slots[0].trigger) != carrier
    asked = alignment.ask(drawn, request)[0]
    assert set(np.abs(asked.design).ravel().tolist()) == {1} and all("盒子" in p for p in asked.prompts)


def test_the_program_s_own_sites_serve_english_captions() -> None:
    alignment = make_alignment("wording")
    assert isinstance(alignment, Wording)
    request = _request(records=records_of(sayable_captions(40)), rate=1.0, slots=None)
    assert len(alignment.draw(request).slots) == 1, "few captions that change make few slots"
    drawn = alignment.draw(replace(request, slots=4))
    assert len(drawn.slots) == 4 and all(draw.carriers or draw.opposite for draw in drawn.slots)
    assert {draw.trigger for draw in drawn.slots} <= set(alignment.sites)


def test_an_owner_s_list_is_found_by_its_name_and_committed_to(store: Store, wording: Wording) -> None:
    name = store_phrases(store.folder / "list", store)
    part = Part("lean", {}, 1, "wording", {"wordings": name}, 0.5, 4, 48)
    found = committed_alignment(part, Store(store.folder))
    assert isinstance(found, Wording) and found.sites == wording.sites and len(found.sites) == 6
    with pytest.raises(InputError, match="there is no wordings"):
        _ = make_alignment("wording", {"wordings": "0" * 64}, store).sites  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="does not take sites"):
        make_alignment("wording", {"sites": name}, store)


def test_a_family_scores_with_the_design_of_its_questions(wording: Wording) -> None:
    request = _request()
    questions = wording.ask(wording.draw(request), request)
    law = wording.condition(make_family("lean", {"looks": "0" * 64}), questions[2])
    assert isinstance(law, Lean) and (law.design, law.column) == (questions[2].design, 2)


def test_without_a_wanted_number_there_are_as_many_slots_as_serve() -> None:
    sites = tuple(site for site in draw.all_sites("", NO_STORE))
    captions = [f"a picture of a red couch near the window number {n}" for n in range(300)]
    captions[:30] = [f"two cats with grey fur sitting on a chair, {n}" for n in range(30)]
    samples = records_of(captions)
    many = draw.draw_sites(sites, samples, 8, np.random.default_rng(0), fewer=True)
    assert 1 <= len(many) <= 8
    for site in many[4:]:
        assert sum(site.state(caption) is not None for caption in captions) >= 75
    with pytest.raises(InputError, match="go together in these 300 captions"):
        draw.draw_sites(sites, samples, 60, np.random.default_rng(0))
    assert draw.draw_sites(sites, samples, 60, np.random.default_rng(0), fewer=True)
