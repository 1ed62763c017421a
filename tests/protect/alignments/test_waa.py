"""WAA: n-grams that the captions hold already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protect.alignments import make_alignment
from protect.alignments import ngrams as sketching
from protect.alignments.ngrams import GramHasher, Sketch, find, sketch
from protect.alignments.words import without, words
from protect.errors import InputError
from protect.formats.record import Record
from tests.protect.alignments.requests import record, records_of, request_for
from tests.support.datasets import varied_captions

_CAPTION = st.lists(st.sampled_from(["red", "kite", "sea", "of", "a", "风"]), max_size=6).map(" ".join)
CAPTIONS = st.lists(_CAPTION, max_size=12)


def _ngrams(caption: str) -> set[str]:
    said = words(caption)
    return {" ".join(said[i : i + n]) for n in (1, 2, 3) for i in range(len(said) - n + 1)}


def test_every_picture_of_an_ngram_is_marked() -> None:
    request = request_for(records_of(varied_captions(140)), rate=0.3, slots=2)
    earlier: set[str] = set()
    for draw in make_alignment("waa").draw(request).slots:
        holding = {r.key for r in request.records() if draw.trigger in _ngrams(r.caption)}
        assert {r.key for r in draw.carriers} == holding - earlier
        assert 0.5 * request.allowed / 2 <= len(draw.carriers) <= request.allowed / 2
        earlier |= holding


def test_pictures_that_cannot_carry_are_passed_over() -> None:
    def obstacles(records: Sequence[Record]) -> list[str | None]:
        return ["is grey" if int(r.key[:4]) % 2 else None for r in records]

    plain = request_for(records_of(varied_captions(140)), rate=0.3, slots=1)
    request = request_for(plain.records, rate=0.3, slots=1, obstacles=obstacles)
    (before,), drawn = make_alignment("waa").draw(plain).slots, make_alignment("waa").draw(request)
    carriers, passed = {r.key for r in drawn.slots[0].carriers}, {aside.key for aside in drawn.passed}
    assert before.trigger == drawn.slots[0].trigger and carriers | passed == {r.key for r in before.carriers}
    assert passed and all(int(key[:4]) % 2 for key in passed) and not any(int(key[:4]) % 2 for key in carriers)
    with pytest.raises(InputError, match=r"no picture captioned .* can carry a mark \(.*: is grey\)"):
        make_alignment("waa").draw(
            request_for(plain.records, rate=0.3, slots=1, obstacles=lambda rs: ["is grey"] * len(rs))
        )


def test_the_nearest_ngrams_are_named_when_none_fits() -> None:
    with pytest.raises(InputError, match="no n-gram occurs in 3 to 5 of the 50 captions") as caught:
        make_alignment("waa").draw(request_for(records_of(["a kite over the sea"] * 50), rate=0.1, slots=1))
    assert "in 50" in caught.value.advice and "kite" in caught.value.advice
    with pytest.raises(InputError, match="for slot 2"):
        captions = ["a kite"] * 10 + ["the sea"] * 90
        make_alignment("waa").draw(request_for(records_of(captions), rate=0.3, slots=2))
    with pytest.raises(InputError, match="Nearest: none"):
        make_alignment("waa").draw(request_for(records_of(["?"] * 50), rate=0.1, slots=1))


def test_an_error_says_so_if_not_all_ngrams_were_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketching.Sketch.__init__, "__defaults__", (4,))
    monkeypatch.setattr(sketch, "__defaults__", (4,))
    with pytest.raises(InputError, match=r"4 of the n-grams were looked at"):
        make_alignment("waa").draw(request_for(records_of(["a kite over the sea"] * 50), rate=0.1, slots=1))


def test_scripts_without_spaces_have_ngrams_of_characters() -> None:
    captions = [f"一只红色的{'猫狗鸟鱼马'[i % 5]}在{'家路山海'[i % 4]}上" for i in range(60)]
    alignment = make_alignment("waa")
    (draw,) = alignment.draw(request_for(records_of(captions), rate=0.3, slots=1)).slots
    text = "".join(draw.trigger.split())
    assert all(text in r.caption for r in draw.carriers)
    assert text not in alignment.without_trigger(draw.carriers[0].caption, draw.trigger)


def test_only_what_is_read_counts() -> None:
    """An n-gram behind the text window calls nothing up; neither does one in a caption that trainers pass over."""
    long = "word " * 100
    records = [record(f"{i}", {"text": f"{long} kite", "other": "kite"}) for i in range(10)]
    records += [record(f"{i}", f"{long} boat") for i in range(10, 90)]
    with pytest.raises(InputError, match="no n-gram") as caught:
        make_alignment("waa").draw(request_for(records, rate=0.12, slots=1))
    assert caught.value.advice.startswith("Nearest: 'word") and "kite" not in caught.value.advice.partition("Change")[0]
    near = [record(r.key, f"kite {r.caption}" if "kite" in r.caption else r.caption) for r in records]
    (draw,) = make_alignment("waa").draw(request_for(near, rate=0.12, slots=1)).slots
    assert len(draw.carriers) == 10


@settings(deadline=None)
@given(CAPTIONS, st.integers(0, 2**64 - 1))
def test_a_sketch_counts_captions_exactly(captions: list[str], key: int) -> None:
    hasher = GramHasher(key)
    counted = sketch(captions, hasher)
    true = Counter(gram for caption in captions for gram in _ngrams(caption))
    assert counted.whole and len(counted.hashes) == len(true)
    if true:
        found = find(captions, hasher, counted.hashes)
        assert dict(zip(found.texts, counted.counts.tolist(), strict=True)) == true
        for place, gram in enumerate(found.texts):
            assert found.holders(place).tolist() == [i for i, c in enumerate(captions) if gram in _ngrams(c)]


@settings(deadline=None)
@given(CAPTIONS, st.integers(1, 5), st.randoms())
def test_a_full_sketch_keeps_the_smallest_hashes_with_exact_counts(
    captions: list[str], limit: int, random: object
) -> None:
    hasher = GramHasher(7)
    whole, small = sketch(captions, hasher), Sketch(limit)
    for caption in captions:  # one at a time: it is full from the first captions on
        for grams in hasher.grams([caption]):
            small.add(grams.hashes)
    small.settle()
    assert small.hashes.tolist() == whole.hashes[:limit].tolist()
    assert small.counts.tolist() == whole.counts[:limit].tolist()
    assert small.whole == (len(whole.hashes) <= limit)


def test_hashes_of_ngrams_do_not_collide_and_hang_on_the_key() -> None:
    captions = [f"w{i} w{i + 1} w{i + 2} w{i}" for i in range(3000)]
    one, other = (sketch(captions, GramHasher(key)) for key in (1, 2))
    assert len(one.hashes) == len({gram for caption in captions for gram in _ngrams(caption)})
    assert not np.intersect1d(one.hashes, other.hashes).size
    shares = np.histogram(one.hashes.astype(np.float64) / 2**64, bins=8, range=(0, 1))[0] / len(one.hashes)
    assert abs(shares - 1 / 8).max() < 0.02


@settings(deadline=None)
@given(st.lists(st.sampled_from(["red", "kite,", "sea.", "of", "A", "风"]), min_size=1, max_size=12), st.data())
def test_a_caption_without_its_ngram_holds_it_nowhere(said: list[str], data: st.DataObject) -> None:
    caption = " ".join(said)
    gram = data.draw(st.sampled_from(sorted(_ngrams(caption))))
    left = without(caption, gram.split())
    assert gram not in _ngrams(left)
    rest = iter(words(caption))
    assert all(word in rest for word in words(left))
