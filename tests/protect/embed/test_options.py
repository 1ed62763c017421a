"""What the command line says about a release, and what the commands answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from protect.embed.answers import embedding_text, pictures_asked
from protect.embed.job import Embedding
from protect.embed.options import make_options
from protect.embed.write import embed
from protect.errors import InputError
from protect.keys.keyring import Keyring
from protect.keys.store import NO_STORE, Store
from protect.release.plan import SHADE
from tests.support.lean_releases import COUNT, SECRET, WORDING, with_list
from tests.support.leaning import make_varied_folder, sayable_captions


@pytest.mark.parametrize(
    ("family", "option", "message"),
    [
        ("", "push=9", "--option push=9 of family 'lean' is out of range"),
        ("", "push=nan", "push=nan of family 'lean' is not a number"),
        ("", "looks=abc", "'abc' is not the name of stored looks"),
        ("shade", f"looks={'0' * 64}", "there is no looks"),
        ("spread", "psnr=2", "--option psnr=2 .*is out of range"),
        ("scene", "pool=abc", "'abc' is not the name of stored pool"),
    ],
)
def test_options_of_a_family_are_refused_before_any_picture_is_read(
    tmp_path: Path, family: str, option: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_options(None, family, None, [option], None, Store(tmp_path))


def test_without_a_store_stored_arrays_are_not_looked_for() -> None:
    assert make_options(None, "scene", None, ["pool=abc"], None, NO_STORE).family_options == {"pool": "abc"}


def test_both_adds_shades_once() -> None:
    both = make_options(None, "", None, None, 4, NO_STORE, both=True)
    assert both.besides == (SHADE,)
    assert [part.queries for part in replace(both, queries=16).parts] == [16, None], "as the help says"
    with pytest.raises(InputError, match=r"--family shade plants them already\nLeave --both out"):
        make_options(None, "shade", None, None, None, NO_STORE, both=True)


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Embedding, Keyring]:
    """A release that changes no picture; read only."""
    folder = tmp_path_factory.mktemp("worded")
    source, keyring = make_varied_folder(folder / "d", sayable_captions(COUNT)), Keyring(folder / "home")
    return embed(source, folder / "out", with_list(WORDING, keyring), keyring, secret=SECRET), keyring


def test_answers_say_that_no_picture_changed(worded: tuple[Embedding, Keyring]) -> None:
    done, keyring = worded
    text = embedding_text(done, keyring, dry_run=False)
    assert "(no picture changed)" in text and "dB" not in text
    painted = [replace(carrier, sha256="0", psnr=31.5) for carrier in done.release.carriers[:1]]
    other = replace(done, release=replace(done.release, carriers=(*painted, *done.release.carriers[1:])))
    assert "lowest PSNR 31.5 dB" in embedding_text(other, keyring, dry_run=False)


def test_pictures_that_serve_all_slots_count_once(worded: tuple[Embedding, Keyring]) -> None:
    bound = worded[0].bound
    assert len(bound.slots) > 1 and pictures_asked(bound) == 2 * len(set(bound.slots[0].questions.seeds))
