"""What is said of pictures that can carry nothing is true of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from protect.keys.store import Store
from protect.marks import make_family
from protect.marks.family import Pixels
from protect.marks.legibility import colourless
from tests.support.pictures import grey, photograph, plain, window
from tests.support.stores import stored_options

CLEAR = plain(30, alpha=0)
COLOURLESS = {
    "white everywhere": plain(255),
    "black everywhere": plain(3),
    "grey": plain(128),
    "transparent everywhere": CLEAR,
}


@pytest.mark.parametrize(("word", "picture"), COLOURLESS.items(), ids=COLOURLESS)
def test_pictures_without_colours_are_called_what_they_are(word: str, picture: Pixels) -> None:
    assert colourless(picture) == word
    mixed = window(picture, 0.5) if word != "transparent everywhere" else picture
    assert colourless(mixed) == word, "what is not seen has no colour"


def test_other_pictures() -> None:
    assert colourless(grey(photograph(0))) == "grey"
    assert colourless(photograph(0)) is None
    assert colourless(plain((255, 255, 254))) is None


@pytest.mark.parametrize("family", ["template", "card", "latent", "dwtdctsvd"])
def test_a_white_picture_is_not_called_grey(tmp_path: Path, family: str) -> None:
    store = Store(tmp_path)
    law = make_family(family, stored_options(family, store), store)
    reason = law.obstacle(plain(255, 256, 256))
    assert reason is not None and "it is white everywhere" in reason and "grey" not in reason
    if family != "latent":
        assert "it is grey" in (law.obstacle(grey(photograph(0))) or "")
