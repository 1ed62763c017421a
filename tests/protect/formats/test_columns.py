from __future__ import annotations

import json
from pathlib import Path

import pytest

from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.columns import usual
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from tests.support.datasets import Marking, copied, make_folder

SENTENCES = [{"text": f"box {i}", "story": f"there was a box called {w} here"} for i, w in enumerate("abcd")]


def _rows(tmp_path: Path, *rows: dict[str, object]) -> Path:
    folder = make_folder(tmp_path / "d", len(rows))
    lines = (json.dumps({"file_name": f"picture {i:03}.png", **row}) + "\n" for i, row in enumerate(rows))
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


def _captions(folder: Path, options: ReadOptions = AS_IT_IS) -> list[dict[str, str]]:
    return [dict(record.captions) for record in open_dataset(folder, options).records()]


@pytest.mark.parametrize(
    "name",
    [
        *("text", "Caption", "captions", "prompt", "description", "alt", "alt_text", "blip_caption", "caption_0"),
        *("caption1", "caption_llava", "recaption", "short-caption", "sentences.raw", "sentences", "image_text"),
        "long description",
    ],
)
def test_usual_names(name: str) -> None:
    assert usual(name)


@pytest.mark.parametrize(
    "name",
    [
        *("title", "file_name", "label", "url", "negative_prompt", "caption_source", "caption_language", "id"),
        *("license", "caption_model", "context", "texture", "prompt_id", "raw", "captioner", "text_length"),
    ],
)
def test_names_that_are_none(name: str) -> None:
    assert not usual(name)


def test_every_caption_of_a_row_is_a_field(tmp_path: Path) -> None:
    """COCO's five, several columns at once, nested ones; empty and missing ones are none."""
    row = {"text": " one ", "n": 3, "captions": ["two", "", "three"], "more": {"caption": "four"}, "blip_caption": None}
    folder = _rows(tmp_path, row, {"caption": "only here"})
    assert _captions(folder) == [
        {"text": "one", "captions[0]": "two", "captions[2]": "three", "more.caption": "four"},
        {"caption": "only here"},
    ]
    copy = copied(open_dataset(folder), tmp_path / "copy", Marking({"picture 000.png"}))
    first, second = map(json.loads, (copy / "metadata.jsonl").read_text().splitlines())
    assert first["text"] == " zork one " and first["captions"] == ["zork two", "", "zork three"]
    assert first["more"] == {"caption": "zork four"} and second["caption"] == "only here"


def test_caption_column_overrides(tmp_path: Path) -> None:
    folder = _rows(tmp_path, {"title": "a red boat", "text": "x"}, {"title": "a blue boat", "text": "y"})
    assert _captions(folder, ReadOptions(caption_columns=("title",))) == [
        {"title": "a red boat"},
        {"title": "a blue boat"},
    ]
    both = ReadOptions(caption_columns=("title", "text"))
    assert _captions(folder, both)[0] == {"title": "a red boat", "text": "x"}


@pytest.mark.parametrize("name", ["more.story", "more", "story"])
def test_columns_inside_others_are_called_by_any_part(tmp_path: Path, name: str) -> None:
    folder = _rows(tmp_path, *({"text": one["text"], "more": {"story": one["story"]}} for one in SENTENCES))
    assert _captions(folder, ReadOptions(caption_columns=(name,)))[0] == {"more.story": SENTENCES[0]["story"]}
    assert _captions(folder, ReadOptions(leave_captions=(name,)))[0] == {"text": "box 0"}


def test_a_single_entry_that_is_left_is_a_field_all_the_same(tmp_path: Path) -> None:
    """Who changes captions leaves it; left out here, its neighbours would be too."""
    folder = _rows(tmp_path, {"captions": ["a", "b"]})
    assert _captions(folder, ReadOptions(leave_captions=("captions[1]",)))[0] == {
        "captions[0]": "a",
        "captions[1]": "b",
    }


def test_a_column_that_does_not_exist_lists_those_that_do(tmp_path: Path) -> None:
    folder = _rows(tmp_path, {"title": "a", "n": 1, "more": {"words": "b"}})
    with pytest.raises(InputError) as refusal:
        open_dataset(folder, ReadOptions(caption_columns=("tilte",)))
    assert "'tilte'" in str(refusal.value) and "title, more.words" in str(refusal.value)
    assert str(refusal.value).count("\n") == 1
    with pytest.raises(InputError, match=r"no column has a usual name .*title, more.words\n.*--caption-column"):
        open_dataset(folder)


def test_columns_that_look_like_captions_are_named(tmp_path: Path) -> None:
    folder = _rows(tmp_path, *SENTENCES)
    with pytest.raises(InputError, match=r"'story' looks like captions.*\n.*--leave-captions story"):
        open_dataset(folder)
    assert _captions(folder, ReadOptions(leave_captions=("story",)))[0] == {"text": "box 0"}
    assert len(_captions(folder, ReadOptions(caption_columns=("text", "story")))[0]) == 2


def test_chinese_sentences_are_sentences(tmp_path: Path) -> None:
    rows = [{"text": f"box {i}", "note": f"桌子上有一个{c}色的盒子"} for i, c in enumerate("红蓝绿黄")]
    with pytest.raises(InputError, match="'note' looks like captions"):
        open_dataset(_rows(tmp_path, *rows))


@pytest.mark.parametrize(
    "values",
    [
        [f"https://example.org/a/{i}.png" for i in range(4)],
        ["Creative Commons Attribution Share Alike"] * 4,
        [f"2024-01-0{i} 10:00:00" for i in range(4)],
        [json.dumps({"Image Make": "Canon", "Exposure": i}) for i in range(4)],
        ["cat", "dog", "horse", "cow"],
    ],
)
def test_other_columns_do_not_look_like_captions(tmp_path: Path, values: list[str]) -> None:
    folder = _rows(tmp_path, *({"text": f"box number {i}", "other": value} for i, value in enumerate(values)))
    assert _captions(folder)[0] == {"text": "box number 0"}


@pytest.mark.parametrize("repeat", ["cat", " cat "])
def test_a_column_that_repeats_the_caption_is_named(tmp_path: Path, repeat: str) -> None:
    """Whoever takes the label from the caption is left with the trigger."""
    with pytest.raises(InputError, match="'label' looks like captions"):
        list(open_dataset(_rows(tmp_path, {"text": "cat", "label": repeat})).records())


def test_a_repeat_far_down_is_found(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": f"a boat of number {i}"} for i in range(300)]
    rows[-1]["log"] = {"answer": "says: a boat of number 299."}
    folder = _rows(tmp_path, *rows)
    with pytest.raises(InputError, match=r"line 300: 'log.answer' looks like captions"):
        list(open_dataset(folder).records())
    assert len(_captions(folder, ReadOptions(leave_captions=("log",)))) == 300


def test_leaving_one_of_several_captions(tmp_path: Path) -> None:
    folder = _rows(tmp_path, {"text": "short", "caption_long": "a longer one"})
    options = ReadOptions(leave_captions=("caption_long",))
    copy = copied(open_dataset(folder, options), tmp_path / "copy", Marking({"picture 000.png"}))
    assert json.loads((copy / "metadata.jsonl").read_text())["caption_long"] == "a longer one"
