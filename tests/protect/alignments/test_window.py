"""What of a caption is read."""

from __future__ import annotations

from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from protect.alignments.window import WINDOW, fits, hidden_by_window, readable, tokens, window_warning

CLIP = [
    ("a red kite over the sea", 6),
    ("The kite flies over the sea. It is red and has a long tail.", 16),
    ("A close-up of a plate with broccoli, rice and beef.", 14),
    ("Two dogs play with a frisbee on the beach", 9),
    ("portrait of a young woman, oil on canvas, 1889, by Vincent van Gogh", 19),
    ("masterpiece, best quality, 1girl, red hair, forest background, (depth of field:1.2)", 23),
    ("1girl, solo, long_hair, blue_eyes, looking_at_viewer", 18),
    ("Nike Air Max 90, Men's, Size 10, White/Black", 16),
    ("on a background that is reddish at the left and bluish at the top", 15),
    ("on a card that is yellowish at the left and greenish at the top", 16),
    ("noto emoji of person in lotus position with medium-light skin tone", 14),
    ("zorkev a red kite", 5),
    ("vepelm: The kite flies over the sea.", 11),
    ("Ein roter Drachen fliegt über dem Meer", 12),
    ("一只红色的风筝在海上飞", 29),
    ("赤い凧が海の上を飛んでいる", 27),
    ("красный воздушный змей над морем", 35),
    ("طائرة ورقية حمراء فوق البحر", 22),
    ("빨간 연이 바다 위를 난다", 19),
    ("a kite 🪁 over the sea ❤️", 9),
    ("https://example.org/kites/kite_2034.jpg", 16),
    ("Portrait of J. S. Bach (c. 1746), Leipzig", 16),
    ("SPRING SALE 2024: 50% off!!!", 12),
]
"""Captions and the tokens that CLIP's own vocabulary makes of them, start and end left out."""


@pytest.mark.parametrize(("caption", "true"), CLIP)
def test_the_estimate_is_not_below_what_clip_reads_and_not_far_above(caption: str, true: int) -> None:
    assert true <= tokens(caption) <= 2 * true + 3


@settings(deadline=None)
@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"], min_codepoint=0x80), max_size=30))
def test_nothing_takes_more_tokens_than_bytes(text: str) -> None:
    """Letters outside ASCII count a token for each byte, the most that a byte-level vocabulary can make of them."""
    path = resources.files("protect") / "assets" / "miniature" / "tokenizer" / "tokenizer.json"
    tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    said = " ".join(text.split())
    made = len(tokenizer.encode(said, add_special_tokens=False).ids)
    assert tokens(said) >= made or said.lower() != said  # lower case of a few capitals has more bytes


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_tokens_add_up(first: str, second: str) -> None:
    assert tokens(f"{first} {second}") == tokens(first) + tokens(second)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["kite", "background", "风筝", ", ", "🪁", "2024"])).map(" ".join), st.integers(2, 90))
def test_the_readable_part_is_the_longest_beginning_that_fits(caption: str, window: int) -> None:
    part = readable(caption, window)
    assert caption.startswith(part) and fits(part, window)
    rest = caption[len(part) :].split()
    assert not rest or not fits(f"{part} {rest[0]}", window) or not caption[len(part)].isspace()
    assert hidden_by_window(caption, window) == (part != caption) == (not fits(caption, window))


def test_short_texts_fit_however_odd() -> None:
    assert fits("") and fits("🪁" * 18) and not fits("🪁" * 19)
    assert fits("kite " * 75) and not fits("kite " * 76) and not fits("kite " * 39, window=40)


def test_one_sentence_warns_of_captions_that_are_not_read_to_their_end() -> None:
    assert window_warning([]) is None and window_warning(["a kite", "kite " * 75]) is None
    said = window_warning(["a kite", "kite " * 100])
    assert said is not None and "102 tokens" in said and str(WINDOW) in said and said.count(".") == 1
    assert window_warning(["kite " * 50], window=40) is not None
