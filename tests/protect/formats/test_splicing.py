"""Rewriting captions changes the captions and not one byte more."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protect.formats import open_dataset
from protect.formats.csv_text import CsvTable
from protect.formats.json_text import _flat, parsed, spans, spliced
from protect.formats.jsonl import JsonLines
from tests.support.datasets import Marking, copied, make_folder

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.booleans(), st.sampled_from([None, 0, 3]), TEXT)
def test_any_string_of_any_json_can_be_replaced(value: object, ascii_only: bool, indent: int | None, new: str) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    found = list(spans(text))
    names = [name for name, _, _ in found]
    for name, start, end in found:
        assume(names.count(name) == 1)
        changed = spliced(text, {name: new})
        assert json.loads(changed[start : end + len(changed) - len(text)]) == new
        assert changed[:start] == text[:start] and changed[end + len(changed) - len(text) :] == text[end:]


@given(st.dictionaries(st.sampled_from(["a", "b", "a:", "text"]), TEXT | st.integers()), st.booleans(), TEXT)
def test_values_of_flat_objects_are_found_where_all_values_are(
    row: dict[str, str | int], ascii_only: bool, new: str
) -> None:
    text = json.dumps(row, ensure_ascii=ascii_only)
    for name in (name for name, value in row.items() if isinstance(value, str)):
        assert json.loads(spliced(text, {name: new})) == row | {name: new}
        quick = _flat(text, [name])
        assert quick is None or [(start, end) for found, start, end in spans(text) if found == name] == [quick[0][:2]]


def test_the_quick_way_is_taken_for_most_lines() -> None:
    text = '{"file_name": "a.jpg", "text": "a dog, {sitting}", "text2": "x"}'
    assert _flat('{"file_name": "a.jpg", "text": "a dog", "text2": "x"}', ["text"]) == [(31, 38, "text")]
    assert _flat(text, ["text"]) is None and spliced(text, {"text": "b"}).startswith(
        '{"file_name": "a.jpg", "text": "b"'
    )


@given(JSON)
def test_every_scalar_has_its_place(value: object) -> None:
    text = json.dumps(value)
    pieces = [json.loads(text[start:end]) for _, start, end in spans(text)]
    assert pieces == list(_scalars(value))


def _scalars(value: object) -> list[object]:
    if isinstance(value, dict):
        return [scalar for inner in value.values() for scalar in _scalars(inner)]
    if isinstance(value, list):
        return [scalar for inner in value for scalar in _scalars(inner)]
    return [value]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (r'{"a": "1\/2 cup"}', "1/2 cup, zork", r'{"a": "1\/2 cup, zork"}'),
        (r'{"a": "caf\u00E9 au lait"}', "café zork au lait", r'{"a": "caf\u00E9 zork au lait"}'),
        (r'{"a": "\ud83d\ude00 smile"}', "zork 😀 smile", r'{"a": "zork \ud83d\ude00 smile"}'),
        ('{"a" :\t"盒子",  "b": 1.0}', "盒子 and 猫", '{"a" :\t"盒子 and 猫",  "b": 1.0}'),
        (r'{"\u0061": "x"}', "y", r'{"\u0061": "y"}'),
        (r'{"a": "line\nbreak"}', 'line\nbreak "q"', r'{"a": "line\nbreak \"q\""}'),
    ],
)
def test_what_stays_keeps_its_spelling(old: str, new: str, wanted: str) -> None:
    assert spliced(old, {"a": new}) == wanted
    assert json.loads(wanted)["a"] == new


def test_json_with_a_name_twice_is_refused() -> None:
    """The first value would keep the original while readers see the second."""
    with pytest.raises(ValueError, match="twice"):
        parsed('{"text": "a", "text": "b"}')
    with pytest.raises(ValueError, match="not each"):
        spliced('{"a.b": "x", "a": {"b": "y"}}', {"a.b": "z"})


ROWS = st.lists(st.tuples(TEXT, TEXT, st.sampled_from(["", "\n", "\r\n\r\n"])), min_size=1, max_size=5)


@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans(), TEXT)
@settings(max_examples=150, deadline=None)
def test_csv_changes_in_one_field_only(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    end: str,
    mark: bool,
    quoted: bool,
    new: str,
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    lines = [_csv_line(["n.png", text, more], end, quoted) + blank for text, more, blank in rows]
    raw = ("file_name,text,more" + end + "".join(lines)).encode()
    (folder / "m.csv").write_bytes(codecs.BOM_UTF8 * mark + raw)
    table = CsvTable(folder, "m.csv")
    found = list(table.rows())
    assert [(row.values["text"], row.values["more"]) for row in found] == [(text, more) for text, more, _ in rows]
    last = found[-1].number
    assert table.rewrite(folder / "new.csv", lambda row: {"text": new} if row.number == last else {})
    kept = ("file_name,text,more" + end + "".join(lines[:-1])).encode()
    written = (folder / "new.csv").read_bytes()
    assert written.startswith(codecs.BOM_UTF8 * mark + kept)
    again = list(CsvTable(folder, "new.csv").rows())
    assert [row.values for row in again[:-1]] == [row.values for row in found[:-1]]
    assert again[-1].values == {**found[-1].values, "text": new}
    assert written.endswith((rows[-1][2] or end).encode())


def _csv_line(fields: list[str], end: str, quoted: bool) -> str:
    out = io.StringIO(newline="")
    must = any("\r" in field for field in fields)  # which the module forgets where lines end in \n alone
    csv.writer(out, quoting=csv.QUOTE_ALL if quoted or must else csv.QUOTE_MINIMAL, lineterminator=end).writerow(fields)
    return out.getvalue()


@pytest.mark.parametrize(
    ("old", "wanted"),
    [
        ('a.png,plain,"x ""y"""\r\n', 'a.png,new,"x ""y"""\r\n'),
        ('a.png,"quoted",x\n', 'a.png,"new",x\n'),
        ("a.png, spaced ,x", "a.png,new,x"),
        ('a.png,in "the" middle,"many\nlines"\n', 'a.png,new,"many\nlines"\n'),
        ("a.png,short\n", "a.png,new\n"),
        ('a.png,"odd"ly,x\n', 'a.png,"new",x\n'),
        ('a.png,"never closed', 'a.png,"new"'),
    ],
)
def test_csv_fields_as_people_write_them(tmp_path: Path, old: str, wanted: str) -> None:
    (tmp_path / "m.csv").write_bytes(b"file_name,text,more\n" + old.encode())
    assert CsvTable(tmp_path, "m.csv").rewrite(tmp_path / "new.csv", lambda row: {"text": "new"})
    assert (tmp_path / "new.csv").read_bytes() == b"file_name,text,more\n" + wanted.encode()


LINES = st.lists(
    st.tuples(
        st.dictionaries(TEXT.filter(lambda t: t not in ("text", "captions")), JSON, max_size=2), TEXT, st.lists(TEXT)
    ),
    min_size=1,
    max_size=4,
)


@given(LINES, st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans(), st.booleans(), TEXT)
@settings(deadline=None)
def test_jsonl_changes_in_its_captions_only(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[dict[str, object], str, list[str]]],
    end: str,
    mark: bool,
    ascii_only: bool,
    new: str,
) -> None:
    assume(not any("." in name or "[" in name for row, _, _ in rows for name in _names(row)))
    folder = tmp_path_factory.mktemp("jsonl")
    objects = [{"text": text, **row, "captions": more} for row, text, more in rows]
    lines = [json.dumps(one, ensure_ascii=ascii_only) for one in objects]
    (folder / "m.jsonl").write_bytes(codecs.BOM_UTF8 * mark + end.join(lines).encode())
    wanted = [*objects[:-1], objects[-1] | {"text": new, "captions": [new for _ in rows[-1][2]]}]
    fields = {"text": new, **{f"captions[{i}]": new for i in range(len(rows[-1][2]))}}
    table = JsonLines(folder, "m.jsonl")
    last = list(table.rows())[-1].number
    table.rewrite(folder / "new.jsonl", lambda row: fields if row.number == last else {})
    written = (folder / "new.jsonl").read_bytes()
    assert written.startswith((codecs.BOM_UTF8 * mark) + end.join([*lines[:-1], ""]).encode())
    assert [row.values for row in JsonLines(folder, "new.jsonl").rows()] == wanted


def _names(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for inner in value.values() for name in _names(inner))]
    return [name for inner in value for name in _names(inner)] if isinstance(value, list) else []


SPACE = st.text(" \t\u3000", max_size=3)
SIDECAR = st.lists(
    st.tuples(SPACE, st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), SPACE), max_size=5
)


@given(SIDECAR, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans())
@settings(deadline=None)
def test_sidecars_change_in_every_line_and_nowhere_else(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str, str]], end: str, mark: bool, final: bool
) -> None:
    folder = make_folder(tmp_path_factory.mktemp("side") / "d", 2, "sidecar")
    text = end.join("".join(line) for line in lines) + end * final
    (folder / "picture 000.txt").write_bytes(codecs.BOM_UTF8 * mark + text.encode())
    copy = copied(open_dataset(folder), folder.parent / "copy", Marking({"picture 000.png"}))
    wanted = end.join(_marked("".join(line)) for line in lines) + end * final
    assert (copy / "picture 000.txt").read_bytes() == codecs.BOM_UTF8 * mark + wanted.encode()
    assert (copy / "picture 001.txt").read_bytes() == (folder / "picture 001.txt").read_bytes()


def _marked(line: str) -> str:
    return line.replace(line.strip(), f"zork {line.strip()}", 1) if line.strip() else line


class _Swapped(Marking):
    """Gives another text to each field."""

    def captions(self, key: str, captions: Mapping[str, str]) -> Mapping[str, str]:
        return {field: f"{i} {text}" for i, (field, text) in enumerate(captions.items())}


def test_every_field_gets_its_own_text(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 1)
    row = {"file_name": "picture 000.png", "text": "a", "captions": ["b", "", "c"], "info": {"caption": "d"}}
    (folder / "metadata.jsonl").write_text(json.dumps(row))
    copy = copied(open_dataset(folder), tmp_path / "copy", _Swapped(set()))
    written = json.loads((copy / "metadata.jsonl").read_text())
    assert written == row | {"text": "0 a", "captions": ["1 b", "", "2 c"], "info": {"caption": "3 d"}}
