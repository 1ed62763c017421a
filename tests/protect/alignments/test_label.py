"""Alignment `label`: the key draws classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from scipy import stats

from protect.alignments import make_alignment
from protect.alignments.label import class_names
from protect.errors import InputError
from protect.formats.record import Record, normalised
from tests.protect.alignments.requests import record, request_for


def _classes(classes: int, each: int) -> list[Record]:
    return [record(f"class {c}/{i:03}.png", f"class {c}") for c in range(classes) for i in range(each)]


def test_each_slots_class_is_uniform_and_independent() -> None:
    """Over keys: the exactness of the verdict rests on this."""
    records = _classes(5, 4)
    pairs = Counter(
        tuple(draw.trigger for draw in make_alignment("label").draw(request_for(records, slots=2, seed=seed)).slots)
        for seed in range(2000)
    )
    first = Counter(name for name, _ in pairs.elements())
    assert len(first) == 5 and stats.chisquare(list(first.values())).pvalue > 1e-4
    assert len(pairs) == 25 and stats.chisquare(list(pairs.values())).pvalue > 1e-4


def test_carriers_are_the_smallest_ranks_of_the_class_and_decoys_the_other_classes() -> None:
    request = request_for(_classes(4, 100), slots=4)
    drawn = make_alignment("label").draw(request)
    assert drawn.decoys == 3 and len(drawn.slots) == 4
    left = sorted(request.records(), key=lambda r: request.keys.carrier_rank(normalised(r.key)))
    for draw in drawn.slots:
        mine = [r for r in left if r.caption == draw.trigger][:20]
        assert list(draw.carriers) == mine
        left = [r for r in left if r not in mine]


def test_classes_of_which_hardly_any_picture_is_of_use_are_looked_through_to_the_end() -> None:
    def obstacles(records: Sequence[Record]) -> list[str | None]:
        return [None if r.key[-5] in "05" else "is grey" for r in records]

    request = request_for(_classes(3, 200), rate=0.06, slots=2, obstacles=obstacles)
    drawn = make_alignment("label").draw(request)
    assert [len(draw.carriers) for draw in drawn.slots] == [18, 18] and drawn.decoys == 2
    assert all(r.key[-5] in "05" for draw in drawn.slots for r in draw.carriers)
    assert len(drawn.passed) == len(set(drawn.passed)) and {aside.reason for aside in drawn.passed} == {"is grey"}


@pytest.mark.parametrize("seed", range(8))
def test_what_cannot_carry_labels_is_refused_before_a_class_is_drawn(seed: int) -> None:
    """Whatever the key would have drawn: else the drawn classes would not be uniform."""

    def obstacles(records: Sequence[Record]) -> list[str | None]:
        return ["is broken" if r.caption == "class 3" and r.key[-5] != "0" else None for r in records]

    request = request_for(_classes(4, 20), slots=4, seed=seed, obstacles=obstacles)
    with pytest.raises(InputError, match=r"'class 3' has 2 pictures that can carry a mark; it needs 16 \(.*broken\)"):
        make_alignment("label").draw(request)


def test_too_few_or_too_many_classes_are_refused() -> None:
    with pytest.raises(InputError, match="two or more"):
        make_alignment("label").draw(request_for(_classes(1, 20), slots=1))
    with pytest.raises(InputError, match="fewer than 64 slots"):
        make_alignment("label").draw(request_for(_classes(4, 20), slots=64))
    with pytest.raises(InputError, match="'class 1' has 3 pictures") as caught:
        make_alignment("label").draw(request_for([*_classes(1, 40), *_classes(2, 3)[3:]], slots=1))
    assert "--rate 0.07" in caught.value.advice
    captions = [record(f"{i}.png", f"caption {i}") for i in range(1000)]
    with pytest.raises(InputError, match="6 classes or more share 1000 pictures; each needs 200"):
        make_alignment("label").draw(request_for(captions, slots=1))


def test_labels_stay_as_they_are_and_have_no_questions_in_words() -> None:
    alignment = make_alignment("label")
    assert alignment.for_classifiers and not alignment.has_trigger
    assert alignment.align("cat", "cat") == "cat" and alignment.without_trigger("cat", "cat") is None
    assert class_names(_classes(3, 2)) == ["class 0", "class 1", "class 2"]
