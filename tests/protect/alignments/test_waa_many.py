"""`waa-many`: dozens of ordinary words, drawn by key, whose pictures together keep the rate."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protect.alignments import make_alignment, vocabulary
from protect.alignments.alignment import Drawn, Request
from protect.alignments.common import BoundedCounter
from protect.alignments.words import words
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.record import Record
from protect.keys.keyring import Keyring
from protect.keys.tree import SlotKey, secret_from_seed
from protect.marks import make_family
from protect.marks.shade import Shade
from protect.release.plan import Options
from tests.protect.alignments.requests import record, records_of, request_for
from tests.support.pictures import photograph

MANY = make_alignment("waa-many")
_VOWELS = "aeiou"
VOCABULARY = [f"{a}{v}{b}{w}x" for a in "bdfgk" for v in _VOWELS for b in "lmn" for w in "aio"]
"""225 made-up words."""


def _captions(count: int, seed: int = 0, each: int = 3) -> list[str]:
    """Some words are common, most are rare, as in real captions."""
    rng = np.random.default_rng(seed)
    chances = 1 / (np.arange(len(VOCABULARY)) + 10)
    drawn = [rng.choice(VOCABULARY, each, replace=False, p=chances / chances.sum()) for _ in range(count)]
    return [f"the {', '.join(found)} of 2024" for found in drawn]


CAPTIONS = _captions(1_500)


def _request(seed: int = 0, slots: int | None = None, rate: float = 0.6) -> Request:
    return request_for(records_of(CAPTIONS), rate=rate, slots=slots, seed=seed)


def _told(drawn: Drawn) -> list[tuple[str, list[str]]]:
    return [(draw.trigger, sorted(r.key for r in draw.carriers)) for draw in drawn.slots]


def _list(trigger: str) -> list[str]:
    return trigger.split(", ")


def test_no_order_of_samples_changes_a_list_even_where_not_all_words_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vocabulary, "BoundedCounter", lambda: BoundedCounter(150))
    records = records_of(_captions(1_500))
    told = []
    for seed in range(4):
        order = random.Random(seed).sample(records, len(records)) if seed else records
        told.append(_told(MANY.draw(request_for(order, rate=0.6))))
    assert all(one == told[0] for one in told) and len(_list(told[0][0][0])) >= 12


@pytest.mark.parametrize("slots", [None, 2])
def test_dozens_of_words_fill_the_rate_and_keep_it(slots: int | None) -> None:
    request = _request(slots=slots)
    drawn = MANY.draw(request)
    share = request.allowed // (slots or 1)
    taken: set[str] = set()
    for draw in drawn.slots:
        listed = _list(draw.trigger)
        holding = [r for r in request.records() if set(listed) & set(words(r.caption)) and r.key not in taken]
        assert sorted(r.key for r in draw.carriers) == [r.key for r in holding]
        assert 0.9 * share <= len(holding) <= share
        assert (50 if slots is None else 24) <= len(listed) <= 120 and listed == sorted(set(listed))
        for word in listed:
            assert sum(word in words(r.caption) for r in holding) >= vocabulary.FEWEST_SAMPLES
        taken |= {r.key for r in holding}
    assert len(drawn.slots) == (slots or 1) and len(taken) == sum(len(d.carriers) for d in drawn.slots)
    lists = [_list(draw.trigger) for draw in drawn.slots]
    assert sum(map(len, lists)) == len(set().union(*lists))


def test_words_follow_from_key_and_captions_and_from_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    request = _request()
    before = _told(MANY.draw(request))
    shuffled = list(request.records())
    random.Random(5).shuffle(shuffled)
    assert _told(MANY.draw(replace(request, records=shuffled.__iter__))) == before
    assert _told(MANY.draw(_request(seed=1))) != before
    monkeypatch.setattr(SlotKey, "planted", property(lambda key: key.integer("another mark")))
    assert _told(MANY.draw(request)) == before


def test_pictures_that_cannot_carry_change_neither_words_nor_questions() -> None:
    def obstacles(records: Sequence[Record]) -> list[str | None]:
        return ["is white" if int(r.key[:4]) % 2 else None for r in records]

    plain, half = _request(), replace(_request(), obstacles=obstacles)
    before, after = MANY.draw(plain), MANY.draw(half)
    assert before.slots[0].trigger == after.slots[0].trigger
    assert len(after.slots[0].carriers) + len(after.passed) == len(before.slots[0].carriers)
    assert {int(aside.key[:4]) % 2 for aside in after.passed} == {1}
    asked = [replace(MANY.ask(d, r)[0], taught=0) for d, r in ((before, plain), (after, half))]
    assert asked[0] == asked[1]
    with pytest.raises(InputError, match=r"none of \d+ pictures can carry a mark \(.*: is white\)"):
        MANY.draw(replace(plain, obstacles=lambda rs: ["is white"] * len(rs)))


def test_questions_are_captions_with_words_and_their_design_says_which() -> None:
    request = replace(_request(slots=2), queries=80)
    drawn = MANY.draw(request)
    for draw, questions in zip(drawn.slots, MANY.ask(drawn, request), strict=True):
        listed = _list(draw.trigger)
        assert questions.trigger == draw.trigger and questions.contrasts == ()
        assert len(questions.prompts) == len(questions.seeds) == len(questions.design) == 80
        assert set(questions.prompts) <= set(CAPTIONS)
        assert MANY.is_design_of(questions)
        assert not MANY.is_design_of(replace(questions, design=tuple(reversed(questions.design))))
        for prompt, row in zip(questions.prompts, questions.design, strict=True):
            assert [bool(one) for one in row] == [word in words(prompt) for word in listed] and any(row)


def test_questions_are_drawn_from_all_samples_not_from_carriers() -> None:
    """A picture of an earlier slot, or one that cannot carry, is asked about like any other."""
    request = replace(_request(slots=2), queries=200)
    drawn = MANY.draw(request)
    asked = MANY.ask(drawn, request)[1].prompts
    carriers = {r.caption for r in drawn.slots[1].carriers}
    assert 0 < sum(prompt in carriers for prompt in asked) < len(asked)


def test_families_get_the_words_of_a_caption_and_the_design_of_questions() -> None:
    family = make_family("shade", {})
    own = MANY.for_sample(family, "A red Kite, by the sea", "boat, kite, red")
    assert isinstance(own, Shade) and own.words == (1, 2) and own.design == ()
    drawn = MANY.draw(_request())
    (questions,) = MANY.ask(drawn, _request())
    law = MANY.condition(family, questions)
    assert isinstance(law, Shade) and law.design == questions.design
    assert MANY.for_sample(law, "a kite", "boat, kite, red") == family.of_words((1,))  # type: ignore[attr-defined]
    other = make_family("template", {})
    assert MANY.condition(other, questions) is other and MANY.for_sample(other, "a kite", "kite") is other


def test_only_what_is_read_of_the_first_caption_counts() -> None:
    long = "word " * 100
    extra = [record(f"x{i}", {"text": f"{long} late", "other": "other"}) for i in range(300)]
    request = request_for([*records_of(CAPTIONS), *extra], rate=0.5)
    listed = _list(MANY.draw(request).slots[0].trigger)
    assert not {"late", "other"} & set(listed)
    assert make_alignment("waa-many").for_sample(make_family("shade", {}), f"{long} late", "late") == make_family(
        "shade", {}
    )


def test_words_that_always_come_together_count_once_and_small_words_never() -> None:
    captions = [c.replace("balax", "balax twin").replace(" of", " of in on and with") for c in CAPTIONS]
    for seed in range(4):
        listed = _list(MANY.draw(request_for(records_of(captions), rate=0.9, seed=seed)).slots[0].trigger)
        assert not {"balax", "twin"} <= set(listed)
        assert not {"the", "of", "in", "on", "and", "with", "2024"} & set(listed)


def test_too_few_words_are_named_with_their_samples() -> None:
    with pytest.raises(InputError, match=r"0 words .* into 120 of 200 samples, each in 12 to 30 .*\(none\)") as caught:
        MANY.draw(request_for(records_of(["a red kite"] * 200), rate=0.6))
    assert "'kite' in 200" in caught.value.advice
    captions = [f"{('red', 'blue', 'green')[i % 3]} thing{i}" for i in range(90)]
    with pytest.raises(InputError, match=r"3 words .* into 180 of 180 samples, each in 12 to 45 .*\('blue' in 30"):
        MANY.draw(request_for(records_of([*captions, *["?"] * 90]), rate=1.0))
    captions = [f"{VOCABULARY[i % 20]}" if i < 400 else "?" for i in range(600)]
    with pytest.raises(InputError, match=r"5 words .* for slot 2, apart from earlier slots' samples"):
        MANY.draw(request_for(records_of(captions), rate=1.0, slots=2))


def test_an_empty_dataset_and_a_small_rate_are_refused() -> None:
    with pytest.raises(InputError, match="no picture with a caption"):
        MANY.draw(request_for([]))
    with pytest.raises(InputError, match=r"--rate 0\.0001 gives 0 carrier"):
        MANY.draw(_request(rate=0.0001))


def test_scripts_without_spaces_have_characters_for_words() -> None:
    rng = np.random.default_rng(0)
    characters = [chr(0x4E00 + i) for i in range(60)]
    captions = ["".join(rng.choice(characters, 3, replace=False)) for _ in range(600)]
    draw = MANY.draw(request_for(records_of(captions), rate=0.8)).slots[0]
    assert len(_list(draw.trigger)) >= 12 and all(set(_list(draw.trigger)) & set(r.caption) for r in draw.carriers)


def test_not_all_candidates_need_to_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _list(MANY.draw(_request()).slots[0].trigger)
    monkeypatch.setattr(vocabulary, "_CANDIDATES", 40)
    fewer = _list(MANY.draw(_request()).slots[0].trigger)
    assert 12 <= len(fewer) <= 40 < len(whole)


def _dataset(folder: Path, count: int) -> Path:
    folder.mkdir()
    rows = []
    for i, caption in enumerate(_captions(count, each=5)):
        picture = Image.fromarray(photograph(i, 32, 40)).convert("L" if i % 7 == 0 else "RGB")
        picture.save(folder / f"{i:03}.png")
        rows.append(json.dumps({"file_name": f"{i:03}.png", "text": caption}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def test_a_release_of_shades_embeds_and_verifies(tmp_path: Path, keyring: Keyring) -> None:
    options = Options(rate=0.8, family="shade", alignment="waa-many", decoys=99, alpha=0.05)
    secret = secret_from_seed(3, "test")
    done = embed(_dataset(tmp_path / "d", 400), tmp_path / "out", options, keyring, secret=secret)
    found = verify(done.bound, open_dataset(tmp_path / "out"))
    assert found.intact == found.carriers == len(done.release.carriers) > 150
    assert (tmp_path / "d" / "metadata.jsonl").read_bytes() == (tmp_path / "out" / "metadata.jsonl").read_bytes()
    assert min(c.psnr for c in done.release.carriers) >= 31.99
    (slot,) = done.bound.slots
    assert isinstance(slot.family, Shade) and len(slot.family.design) == 256 and slot.family.looks
    assert not done.release.plan.parts[0].alignment_options
