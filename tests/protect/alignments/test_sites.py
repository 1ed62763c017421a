"""Sites of the alignment `wording`: the laws that hold for every text, and what a careful editor would write."""

from __future__ import annotations

import itertools
import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protect.alignments.sites import (
    PHOTOGRAPHIC,
    Disturbances,
    Site,
    compatible,
    cover,
    english_sites,
    tag_sites,
)
from protect.alignments.sites.reading import Reading

SITES = (*english_sites(photographs=True), *tag_sites())
BY_NAME = {site.name: site for site in SITES}

_TEXT = (
    "a an the A An The photo picture image emoji painting Photo Picture of showing depicting that shows with "
    "having man woman Man dog dogs cats two Two 2 3 owl umbrella is are riding rides sitting seated who bike "
    "bicycle on top atop next to beside near close couch sofa TV television colour color grey and & , . : ; ! ? "
    "\" “ ” ' ’ it's it there There this This pictured: here: Pictured: Here: shown: in picture, Paris @ann #sea "
    "https://a.b close-up T-shirt old red kite noto \n 1girl solo long_hair \\( \\) 红 a\u0301 İ ß ..."
)
_WORDS = _TEXT.split(" ")
_PIECES = st.lists(st.sampled_from([*_WORDS, "\t", "  "]), max_size=14)
CAPTIONS = st.one_of(
    _PIECES.map(" ".join),
    _PIECES.map("".join),
    _PIECES.map(", ".join),
    st.text(max_size=40),
    st.just("").map(lambda _: " "),
)


def _check_laws(site: Site, caption: str) -> None:
    state = site.state(caption)
    assert site.turned(caption, state or 0) == caption
    if state is None:
        assert site.turned(caption, 1) == caption and site.place(caption) is None
        return
    other = site.turned(caption, 1 - state)
    assert other != caption
    for side in (0, 1):
        assert site.state(site.turned(caption, side)) == side
        assert site.turned(site.turned(caption, 1 - side), side) == site.turned(caption, side)
    ends = len(caption) - len(caption.lstrip()), len(caption.rstrip()) - len(caption)
    assert other[: ends[0]] == caption[: ends[0]] and (not ends[1] or other[ends[1] :] == caption[ends[1] :])
    assert len(other) - len(other.lstrip()) == ends[0] and len(other.rstrip()) - len(other) == ends[1]


@settings(deadline=None, max_examples=60)
@given(CAPTIONS)
@example("")
@example("a photo of a photo of a dog")
@example("A man, a picture, a photo")
@example("Pictured here: a owl")
@example("  A photo of a dog. \n")
def test_the_laws_hold_for_every_text(caption: str) -> None:
    for site in SITES:
        _check_laws(site, caption)


_SIMPLE_WORDS = [word for word in _WORDS if word.isalpha() and word.isascii() and word.islower()]


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(_SIMPLE_WORDS),
    st.lists(st.sampled_from([*_SIMPLE_WORDS, "2", "5", "12", "1999"]), max_size=11),
    st.lists(st.sampled_from([" ", " ", " ", ", "]), min_size=12, max_size=12),
    st.booleans(),
    st.sampled_from(["", "."]),
)
def test_certain_sites_find_in_simple_captions_what_can_be_turned_back(
    first: str, rest: list[str], gaps: list[str], capital: bool, end: str
) -> None:
    words = [first, *rest]
    caption = "".join(word + gap for word, gap in zip(words, [*gaps[: len(words) - 1], end], strict=True))
    caption = caption[0].upper() + caption[1:] if capital else caption
    assert Reading(caption).simple
    for site in (site for site in SITES if site.certain):
        found = site.finder(Reading(caption))
        if found is not None:
            back = site.finder(Reading(found.applied(caption)))
            assert back is not None and back.side != found.side
            assert back.applied(found.applied(caption)) == caption


TURNED = [
    ("lead: none|pictured:", "A dog on grass.", "Pictured: a dog on grass."),
    ("lead: none|pictured:", "noto emoji of kite", "pictured: noto emoji of kite"),
    ("lead: none|here:", "Pictured: a dog on grass.", "Pictured here: a dog on grass."),
    ("lead: none|a picture of", "A dog on grass.", "A picture of a dog on grass."),
    ("lead: none|a picture of", "two men riding bikes", "a picture of two men riding bikes"),
    ("lead: none|a photo of", "An old owl near a tree", "A photo of an old owl near a tree"),
    ("lead: none|this is", "A dog on grass.", "This is a dog on grass."),
    ("lead: none|there is", "a man who is riding a bike", "there is a man who is riding a bike"),
    ("lead: none|there are", "Two men riding bikes.", "There are two men riding bikes."),
    ("lead: none|in this picture,", "A man is riding a bike.", "In this picture, a man is riding a bike."),
    ("article of the picture: none|a", "noto emoji of kite", "a noto emoji of kite"),
    ("article of the picture: none|a", "Emoji of kite", "An emoji of kite"),
    ("article of the picture: a|the", "A black and white photo of a dog", "The black and white photo of a dog"),
    ("article of the subject: none|a", "noto emoji of octopus", "noto emoji of an octopus"),
    ("article of the subject: none|a", "Man riding a bike on a road.", "A man riding a bike on a road."),
    ("article of the subject: a|the", "A photo of a tobacco shop", "A photo of the tobacco shop"),
    ("picture: of|showing", "A photo of a dog", "A photo showing a dog"),
    ("picture: picture|image", "A picture of a dog", "An image of a dog"),
    ("picture: emoji|digital emoji", "an emoji of a dog", "a digital emoji of a dog"),
    ("picture: emoji|emoji image", "noto emoji of dog", "noto emoji image of dog"),
    ("order: picture of subject|subject, picture", "noto emoji of ring buoy", "ring buoy, noto emoji"),
    ("clause: man riding|man who is riding", "Men riding bikes", "Men who are riding bikes"),
    ("clause: is riding|rides", "A man is crossing a street.", "A man crosses a street."),
    ("number: two|2", "a photo of two dogs", "a photo of 2 dogs"),
    ("mark: final full stop none|.", "A photo of a dog", "A photo of a dog."),
    (
        "mark: serial comma none|,",
        "A bowl with an apple, a pear and a peach",
        "A bowl with an apple, a pear, and a peach",
    ),
    ("noun: TV|television", "a cat near a TV", "a cat near a television"),
    ("noun: plane|airplane", "A plane in the sky", "An airplane in the sky"),
    ("spelling: American|British", "A gray cat, a gray dog", "A grey cat, a grey dog"),
    ("contraction: it's|it is", "it's a dog", "it is a dog"),
    (
        "article of the subject: a|the",
        "Pictured: a black cat is near a house.",
        "Pictured: the black cat is near a house.",
    ),
    ("clause: is riding|rides", "Dogs are flying.", "Dogs fly."),
    ("clause: is riding|rides", "A bird is flying.", "A bird flies."),
    ("conjunction: and|&", "a dog and a cat", "a dog & a cat"),
    ("preposition: with|having (looks)", "man with medium-dark skin tone", "man having medium-dark skin tone"),
    ("quantity: two|a pair of", "Two young cats on a bed", "A pair of young cats on a bed"),
    ("preposition: next to|beside", "A dog next to a cat next to a bird", "A dog beside a cat next to a bird"),
]
KEPT = [
    ("number: two|2", "two dogs and a cat"),
    ("article of the picture: none|a", "A picture of a dog is on a wall."),
    ("article of the subject: a|the", "A couple of people are near a bus"),
    ("article of the subject: none|a", "Chicken on a plate"),
    ("article of the subject: none|a", "noto emoji of camping"),
    ("clause: is riding|rides", "A bathroom contains a sink."),
    ("clause: is riding|rides", "A car has parked near a house."),
    ("clause: man riding|man who is riding", "woman having dark skin"),
    ("clause: dog running|dog that is running", "noto emoji of flower playing cards"),
    ("lead: none|pictured:", "Robin riding a bike"),
    ("picture: picture|image", "A man taking a picture of a dog"),
    ("lead: none|pictured:", "Paris at night"),
    ("lead: none|pictured:", "There is a dog."),
    ("lead: none|a picture of", "A man rides a bike."),
    ("lead: none|a picture of", "A man at his desk examines the screen."),
    ("lead: none|a picture of", "A group of people mingle on a boat."),
    ("lead: none|a picture of", "Dog on grass."),
    ("lead: none|a picture of", "A photo of a dog."),
    ("article of the subject: none|a", "The woman in the kitchen is holding a pan."),
    ("article of the subject: none|a", "a photo of a dog"),
    ("article of the subject: a|the", "the first dog on the moon"),
    ("article of the subject: a|the", "the grass near a house"),
    ("article of the picture: none|a", "man holding a photo of a dog"),
    ("number: two|2", "a photo of bus 2 and cars"),
    ("mark: final full stop none|.", "A dog. A cat."),
    ("mark: final full stop none|.", "emoji of woman gesturing no"),
    ("noun: TV|television", "a cat on a tv stand"),
    ("mark: final full stop none|.", "It sleeps in the U.S."),
    ("noun: couch|sofa", 'a sign that reads "couch"'),
    ("noun: couch|sofa", "a photo of the Blue Couch in Soho"),
    ("noun: couch|sofa", "a couch near a sofa"),
    ("noun: couch|sofa", "a couch-potato, https://couch.org #couch @couch `couch`"),
    ("noun: bike|bicycle", "A man on a motorcycle, a bike of red steel"),
    ("spelling: American|British", "a gray cat and a grey dog"),
    ("contraction: it's|it is", "next to it is a taxi"),
    ("noun: photo|photograph", "une photo de la tour et du jardin, le soir"),
]


@pytest.mark.parametrize(("name", "caption", "other"), TURNED)
def test_captions_are_turned_as_an_editor_would(name: str, caption: str, other: str) -> None:
    site = BY_NAME[name]
    assert (site.state(caption), site.turned(caption, 1)) == (0, other)
    assert (site.state(other), site.turned(other, 0)) == (1, caption)


@pytest.mark.parametrize(("name", "caption"), KEPT)
def test_captions_are_kept_where_a_site_would_be_wrong(name: str, caption: str) -> None:
    assert BY_NAME[name].state(caption) is None


def test_there_are_sixty_sites_with_names_of_their_own() -> None:
    assert len(english_sites()) >= 60
    assert len(BY_NAME) == len(SITES) and all(name.isprintable() for name in BY_NAME)
    assert {site.name for site in english_sites(True)} - {site.name for site in english_sites()} == set(PHOTOGRAPHIC)


def test_sites_can_be_sent_to_other_processes() -> None:
    again = pickle.loads(pickle.dumps(SITES))
    assert again == SITES and again[0].turned("a dog", 1) == "pictured: a dog"


def test_short_captions_have_six_early_sites_that_go_together() -> None:
    captions = [
        f"noto emoji of {thing}" for thing in ("kite", "ring buoy", "octopus", "man with curly hair", "fuel pump")
    ]
    early = [
        row.site for row in cover(captions, SITES).sites if row.place is not None and row.place <= 3 and row.fits >= 2
    ]
    chosen = tuple(compatible(early, Disturbances(captions)))
    assert len(chosen) >= 6


TAGS = [
    ("tags: order of the second and the third", "1girl, smile, solo, sky", "1girl, solo, smile, sky"),
    ("tags: separator with a space|without", "1girl, solo, smile", "1girl,solo,smile"),
    ("tags: underscores|spaces", "1girl, long_hair, o_o, smile", "1girl, long hair, o_o, smile"),
    (r"tags: brackets \(escaped\)|(plain)", r"1girl, miku \(vocaloid\), sky", "1girl, miku (vocaloid), sky"),
    ("tags: separator at the end none|one", "kite, sea, sky", "kite, sea, sky,"),
]


@pytest.mark.parametrize(("name", "caption", "other"), TAGS)
def test_lists_of_tags(name: str, caption: str, other: str) -> None:
    site = BY_NAME[name]
    assert (site.state(caption), site.turned(caption, 1)) == (0, other)
    assert (site.state(other), site.turned(other, 0)) == (1, caption)


@pytest.mark.parametrize(
    "caption",
    ["a red kite", "It flies, it seems.", "", "(sky, sea:1.2), kite, sand", "The Eiffel Tower at night, Paris, France"],
)
def test_sites_of_tags_leave_other_captions_alone(caption: str) -> None:
    assert all(site.state(caption) is None for site in tag_sites())


def test_names_in_lists_of_tags_stay_in_order() -> None:
    assert BY_NAME["tags: order of the second and the third"].state("night, Paris, France, sea") is None
    assert BY_NAME["tags: underscores|spaces"].state("old town, Paris, sea, sky") is None


def test_the_first_tag_never_moves() -> None:
    caption = "zebra, kite, dog, sea, cat, bird, ant"
    for site in tag_sites():
        assert site.turned(site.turned(caption, 0), 1).startswith("zebra")


CAPTURED = [
    "A man riding a bike.",
    "a photo of two dogs, a cat and a bird",
    "noto emoji of octopus",
    'She reads "A couch" in New York.',
    "1girl, solo, smile",
    "",
    "一只狗",
    "a owl",
]


def test_coverage_counts_what_the_sites_say() -> None:
    found = cover(iter(CAPTURED), SITES)
    assert found.captions == len(CAPTURED)
    for row in found.sites:
        states = [row.site.state(caption) for caption in CAPTURED]
        places = [place for caption in CAPTURED if (place := row.site.place(caption)) is not None]
        assert (row.fits, row.second) == (len(states) - states.count(None), states.count(1))
        assert row.place == (sum(places) / len(places) if places else None)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.sampled_from([word for word in _WORDS if word.isalpha() and word.isascii() and word.islower()]), max_size=14
    )
)
def test_coverage_of_plain_captions_is_that_of_the_sites(words: list[str]) -> None:
    caption = " ".join(words)
    for row in cover([caption], SITES).sites:
        assert row.fits == (row.site.state(caption) is not None)


def test_sites_that_act_on_one_word_disturb_each_other() -> None:
    of = [site for site in SITES if site.name.startswith("picture: of|")]
    disturbances = Disturbances(["a photo of a dog"])
    assert all(disturbances.between(*pair) for pair in itertools.combinations(of, 2))
    assert tuple(compatible(of, disturbances)) == (of[0],)


def test_a_site_that_takes_anothers_place_away_disturbs_it_whichever_is_named_first() -> None:
    order, of = BY_NAME["order: picture of subject|subject, picture"], BY_NAME["picture: of|showing"]
    assert Disturbances(["a photo of a dog"]).between(order, of) and Disturbances(["a photo of a dog"]).between(
        of, order
    )
    assert not Disturbances(["two dogs on a beach"]).between(order, of)


def test_sites_far_apart_are_independent() -> None:
    apart = [BY_NAME["picture: of|showing"], BY_NAME["mark: final full stop none|."], BY_NAME["lead: none|pictured:"]]
    assert tuple(compatible(apart, Disturbances(["a photo of a dog", "A photo of two cats."]))) == tuple(apart)
