"""How triggers and descriptions join captions: what a person would write, and what must hold for every text."""

from __future__ import annotations

import csv
import string
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protect.alignments import make_alignment
from protect.alignments.description import Description
from protect.alignments.joining import Kind, after, around, before, kind_of
from protect.alignments.scripts import main_script, not_english
from protect.alignments.sentences import endings, separator
from protect.alignments.window import fits, tokens
from protect.alignments.words import words

_LINES = Path(__file__).with_name("joined_captions.txt").read_text(encoding="utf-8").splitlines()
JOINED = [tuple(row) for row in csv.reader(_LINES, delimiter="\t", quoting=csv.QUOTE_NONE)]
"""Kind, caption, with a rare word before it, between a pair and a description (or what it is written in)."""
PHRASE = "on a background that is reddish at the left and bluish at the top"

_CHARACTERS = "abI.,;:!?…\"'”“()|-–#@0 \n\t風筝，。、凧がとぶéß🪁"
_SPELT = "ว่าว|بحر|، |ים|море|e\u0301|https://a.b| #sea|a red|the sea.|U.S. |. |, |A kite| is |Mr. |3.5"
_PIECES = st.sampled_from([*_CHARACTERS, *_SPELT.split("|")])
CAPTIONS = st.one_of(st.lists(_PIECES, max_size=14).map("".join), st.text(max_size=40))
WORDS = st.sampled_from(["zorkev", "flag sea", "Window boats", "猫 山"])


def test_there_are_captions_of_every_kind() -> None:
    assert len(JOINED) >= 100
    for kind in set(Kind) - {Kind.EMPTY}:
        assert sum(row[0] == kind for row in JOINED) >= 2


@pytest.mark.parametrize(("kind", "caption", "rare", "both"), JOINED)
def test_captions_as_a_person_would_write_them(kind: str, caption: str, rare: str, both: str) -> None:
    assert str(kind_of(caption)) == kind
    assert before("zorkev", caption) == rare
    other = not_english(caption)
    assert both == (f"({other})" if other else around("flag sea", "on a wall", caption))
    assert bool(Description().caption_obstacle(caption)) == both.startswith("(")


@settings(deadline=None)
@given(WORDS, CAPTIONS)
@example("zorkev", "")
@example("zorkev", " \n")
def test_a_word_before_a_caption_changes_nothing_of_it(word: str, caption: str) -> None:
    joined = before(word, caption)
    body = caption.strip()
    lead = caption[: len(caption) - len(caption.lstrip())] if body else ""
    assert joined.startswith(lead + word) if body else joined == caption + word
    assert not body or joined.endswith(caption[len(lead) :])
    assert words(joined) == words(word) + words(caption)


@settings(deadline=None)
@given(st.just("") | WORDS, CAPTIONS)
@example("", '"A." B')
@example("zorkev", 'A sign that reads "Open."')
def test_a_description_keeps_words_in_order_and_white_space_at_the_ends(word: str, caption: str) -> None:
    joined = around(word, PHRASE, caption)
    said, phrase = words(joined), words(PHRASE)
    places = [i for i in range(len(said)) if said[i : i + len(phrase)] == phrase]
    assert len(places) == 1
    assert said[: places[0]] + said[places[0] + len(phrase) :] == words(word) + words(caption)
    if caption.strip():
        lead = len(caption) - len(caption.lstrip())
        tail = len(caption.rstrip())
        assert joined[:lead] == caption[:lead] and joined.endswith(caption[tail:])
        assert joined[lead:].strip() == joined[lead : len(joined) - len(caption) + tail]


@settings(deadline=None)
@given(st.just("") | WORDS, st.lists(CAPTIONS, max_size=12).map(" ".join))
def test_what_is_added_is_always_read(word: str, caption: str) -> None:
    """Up to its last word, a description lies within the window, however long the caption is."""
    joined = around(word, PHRASE, caption).lstrip()
    end = joined.lower().index(PHRASE) + len(PHRASE)
    assert fits(joined[:end])


def test_a_description_goes_where_it_is_read() -> None:
    long = "The kite flies over the " + "very " * 70 + "blue sea."
    assert after(PHRASE, long) == f"O{PHRASE[1:]}: {long}"
    assert after(PHRASE, long.lower()) == f"{PHRASE}: {long.lower()}"
    assert around("flag sea", PHRASE, long) == f"flag sea, {PHRASE}: {long}"
    assert around("zorkev", PHRASE, long) == f"zorkev {PHRASE}: {long}"
    tags = "red kite, " * 40 + "sea"
    assert around("flag sea", PHRASE, tags) == f"flag sea, {PHRASE}, {tags}"
    several = "The kite is red. " + "It flies over the sea. " * 20
    assert after(PHRASE, several) == several.replace("red.", f"red, {PHRASE}.", 1)
    assert after(PHRASE, "The kite is red. It flies.") == f"The kite is red. It flies, {PHRASE}."


def test_a_description_is_read_up_to_the_last_caption_that_fits_behind_which_it_stands() -> None:
    room = 75 - tokens(PHRASE)
    fitting, longer = ("kite " * room).strip(), ("kite " * (room + 1)).strip()
    assert after(PHRASE, fitting) == f"{fitting} {PHRASE}" and after(PHRASE, longer) == f"{PHRASE}: {longer}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A. B. Cole flies. Then Mr. Fox sees 3.5 kites.", ["A. B. Cole flies.", "Then Mr. Fox sees 3.5 kites."]),
        ("Wait... what? Oh!! Yes", ["Wait... what?", "Oh!!"]),
        ("见。见！“见。”见", ["见。", "见！", "“见。”"]),
        ("1. A kite. 2. A boat.", ["1. A kite.", "2. A boat."]),
        ("at 5 p.m. on No. 7 of e.g. St. Ives", []),
        ("He said “Go.” She went.", ["He said “Go.”", "She went."]),
        ("... and so on", []),
        ("Is it I.", ["Is it I."]),
    ],
)
def test_ends_of_sentences(text: str, found: list[str]) -> None:
    starts = [0, *(ending.end for ending in endings(text))]
    assert [text[a:b].strip() for a, b in pairwise(starts)] == found


def test_lists_of_tags_keep_their_own_separator() -> None:
    for mark in (", ", ",", "，", "、", " | ", "|", "; ", " , "):
        tags = mark.join(("kite", "blue sky", "sea"))
        assert separator(tags) == mark and kind_of(tags) is Kind.TAGS
        assert before("zorkev", tags) == f"zorkev{mark}{tags}"
        assert after("on a wall", tags + mark.rstrip()) == f"{tags}{mark}on a wall"
    for text in (
        "1,000 kites, 2,000 boats",
        "a kite, a boat and a sea",
        "It is red, blue, and green",
        "a, b, which is c",
    ):
        assert separator(text) is None


def test_scripts_and_languages() -> None:
    for text, script, said in (
        ("红色的风筝在海上", "HAN", "Chinese characters"),
        ("赤い凧が海の上", "JAPANESE", "Japanese"),
        ("カイト", "JAPANESE", "Japanese"),
        ("빨간 연", "HANGUL", "Korean"),
        ("красный змей", "CYRILLIC", "Cyrillic letters"),
        ("लाल पतंग", "DEVANAGARI", "Devanagari letters"),
        ("ein Drachen über dem Meer und der Stadt", "LATIN", "another language"),
        ("un chat et un chien sur la plage", "LATIN", "another language"),
        ("Gato y perro en la playa", "LATIN", "another language"),
        ("a street in La Paz, el Alto and Las Vegas", "LATIN", None),
        ("Café de Flore, Paris", "LATIN", None),
        ("a café called 茶 near the sea", "LATIN", None),
        ("🪁 2024", "", None),
        ("", "", None),
    ):
        assert main_script(text) == script and not_english(text) == said, text


@settings(deadline=None)
@given(CAPTIONS)
def test_questions_without_their_trigger_are_the_captions(caption: str) -> None:
    for name in ("twa", "twa-conjunction", "twa-description", "twa-double"):
        assert make_alignment(name).without_trigger(caption, "zorkev … on a wall") == caption
    assert (
        make_alignment("waa").without_trigger(caption, "zorkev") == caption == make_alignment("waa").align(caption, "x")
    )


@settings(deadline=None)
@given(st.text(string.printable + "风。，、", max_size=60))
def test_a_rare_word_stands_once(caption: str) -> None:
    joined = make_alignment("twa").align(caption, "zorkev")
    assert joined.count("zorkev") == 1 + caption.count("zorkev")
    assert make_alignment("twa-double").align(caption, f"zorkev … {PHRASE}").lower().count(PHRASE) == 1
