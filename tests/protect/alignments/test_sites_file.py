"""The owner's own sites: what a file may hold, and what is said about a row that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protect.alignments.sites import load_sites, stored_sites
from protect.errors import InputError


def _file(folder: Path, text: str, name: str = "own.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


def test_tables_with_commas_and_tabs_hold_the_same(tmp_path: Path) -> None:
    commas = load_sites(
        _file(tmp_path, '\ufefffirst,second,where\r\nein Foto von,"ein Bild von"\r\n\r\n照片,图片,everywhere\r\n')
    )
    tabs = load_sites(_file(tmp_path, "ein Foto von\tein Bild von\n照片\t图片\teverywhere\n", "own.tsv"))
    assert commas.canonical == tabs.canonical and commas.digest == tabs.digest
    assert [site.name for site in commas.sites] == ["own: ein Foto von|ein Bild von", "own: 照片|图片 (everywhere)"]
    again = stored_sites(commas.canonical)
    assert again == commas.sites and again[1].turned("照片和照片", 1) == "图片和图片"


@pytest.mark.parametrize(
    ("row", "caption", "other"),
    [
        ("ein Foto von,ein Bild von", "Ein Foto von Berlin", "Ein Bild von Berlin"),
        ("Foto,Bild", "Das Foto, ein Foto", "Das Bild, ein Foto"),
        ("Foto,Bild,everywhere", "Das Foto, ein Foto", "Das Bild, ein Bild"),
        ("Foto,Bild,start", "  Foto von Berlin", "  Bild von Berlin"),
        ("am Abend,abends,end", "Berlin am Abend.", "Berlin abends."),
        ("dog,hound", 'a "dog", a doghouse, a dog', 'a "dog", a doghouse, a hound'),
        ("照片,图片", "一张照片", "一张图片"),
        ("фото,снимок", "Фото кошки", "Снимок кошки"),
        ("صورة,لقطة", "صورة قطة", "لقطة قطة"),
    ],
)
def test_own_sites_turn_captions(tmp_path: Path, row: str, caption: str, other: str) -> None:
    (site,) = load_sites(_file(tmp_path, row)).sites
    assert (site.state(caption), site.turned(caption, 1)) == (0, other)
    assert (site.state(other), site.turned(other, 0)) == (1, caption)


@pytest.mark.parametrize(
    ("row", "caption"),
    [("Foto,Bild,start", "Das Foto"), ("dog,hound,end", "a dog on grass"), ("dog,hound,everywhere", "a dog, a hound")],
)
def test_own_sites_do_not_fit_elsewhere(tmp_path: Path, row: str, caption: str) -> None:
    (site,) = load_sites(_file(tmp_path, row)).sites
    assert site.state(caption) is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("dog", "has 1 column and must have two or three"),
        ("dog,hound,first,more", "has 4 columns"),
        ("dog,", "has no second side"),
        (",dog", "has no first side"),
        ("dog,dog", 'has the same phrase twice: "dog"'),
        ("dog,Dog", "has the same phrase twice"),
        ("dog,hound,middle", 'says "middle" in its third column, which must be everywhere, first, start, end'),
        ("cat,kitty", "has the same two sides as row 1"),
        ("kitty,cat", "has the same two sides as row 1"),
        ("https://a.b,sea", "cannot be turned"),
        ("哈,哈哈哈,everywhere", "more than"),
        ("x" * 201 + ",y", "has a phrase of more than 200 characters"),
    ],
)
def test_a_broken_row_is_named_with_its_number(tmp_path: Path, row: str, said: str) -> None:
    path = _file(tmp_path, f"cat,kitty\n\n{row}\n")
    if said == "more than":
        assert len(load_sites(path).sites) == 2
        return
    with pytest.raises(InputError) as caught:
        load_sites(path)
    assert f"row 3 of {path} {said}" in caught.value.what and len(str(caught.value).splitlines()) == 2


def test_files_that_hold_nothing_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no pair"):
        load_sites(_file(tmp_path, "first,second\n"))
    with pytest.raises(InputError, match="cannot read"):
        load_sites(tmp_path / "none.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes("cat,kitty\nl'\xe9t\xe9,la saison\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"row 2 of .* is not UTF-8"):
        load_sites(path)
    with pytest.raises(InputError, match="cannot be read as a table"):
        load_sites(_file(tmp_path, 'cat,"kitty\n'))


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=30), st.sampled_from(["everywhere", "first", "start", "end"]))
def test_own_sites_keep_the_laws(tmp_path_factory: pytest.TempPathFactory, text: str, where: str) -> None:
    folder = tmp_path_factory.mktemp("own")
    (site,) = load_sites(_file(folder, f"dog,猫,{where}")).sites
    for caption in (text, f"dog{text}", f"{text} dog", f"{text}猫", f"dog {text} 猫 dog"):
        state = site.state(caption)
        if state is not None:
            other = site.turned(caption, 1 - state)
            assert site.state(other) == 1 - state and site.turned(other, state) == caption
