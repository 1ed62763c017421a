"""Folders of answers that somebody collected: read whole, checked first, and never half believed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from detect.asking.sheet import SheetRow, question_name, sheet_csv, sheet_json
from detect.suspects.images.collected import CollectedSuspect, questions_answered
from detect.suspects.images.suspect import Answer, Query, Sampler
from protect.errors import InputError
from tests.support.services import bomb, encoded, noise

SAMPLER = Sampler()
QUERIES = [Query(f"a kite, number {n}", 2**60 + n) for n in range(6)]
ROWS = [SheetRow(question_name(q), q.prompt, "", q.seed, 20, 3.0, None) for q in QUERIES]
NAMES = [row.file for row in ROWS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole set of answers."""
    place = tmp_path / "answers"
    place.mkdir()
    for query, name in zip(QUERIES, NAMES, strict=True):
        (place / f"{name}.png").write_bytes(encoded(noise(query, SAMPLER)))
    return place


def read(folder: Path, name: str = "box") -> CollectedSuspect:
    return CollectedSuspect(folder, name, ROWS)


def answers(folder: Path) -> list[Answer]:
    return read(folder).answer(QUERIES, SAMPLER)


def write_table(path: Path, column: str, *rows: tuple[str, str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", column), *rows])


def test_answers_to_another_release_are_no_other_look_at_this_one(folder: Path) -> None:
    before = read(folder)
    mine = before.for_questions(QUERIES[:2])
    assert before.for_questions(QUERIES).identity == before.identity != mine.identity
    assert mine.identity["weights"] == before.identity["weights"]
    (folder / f"{NAMES[-1]}.png").write_bytes(b"")
    after = read(folder)
    assert after.identity != before.identity and after.for_questions(QUERIES[:2]).identity == mine.identity


def test_pictures_are_found_by_their_names(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "Thumbs.db").write_bytes(b"x")
    found = answers(folder)
    for query, answer in zip(QUERIES, found, strict=True):
        assert answer.picture is not None and (answer.picture == noise(query, SAMPLER)).all()
        assert answer.flags == ("owner-collected",) and answer.note == ""
    assert read(folder).answer(QUERIES[::-1], SAMPLER)[0].picture is not None
    assert questions_answered(folder) == set(NAMES) and not read(folder).repeatable


@pytest.mark.parametrize(("suffix", "form", "lossy"), [(".jpg", "JPEG", True), (".webp", "WEBP", True)])
def test_any_format_is_read_and_lossy_ones_are_flagged(folder: Path, suffix: str, form: str, lossy: bool) -> None:
    (folder / f"{NAMES[0]}.png").unlink()
    grey = np.full((32, 40, 3), 90, dtype=np.uint8)
    (folder / f"{NAMES[0]}{suffix}").write_bytes(encoded(grey, form))
    first = answers(folder)[0]
    assert first.picture is not None and abs(first.picture.astype(int) - 90).max() < 4
    assert ("lossy" in first.flags) == lossy
    (folder / f"{NAMES[0]}{suffix}").rename(folder / f"{NAMES[0]}.whatever")
    assert "lossy" in answers(folder)[0].flags, "a name tells no format"


def test_transparent_and_turned_pictures_are_seen_as_people_see_them(folder: Path) -> None:
    from PIL import Image

    clear = Image.fromarray(np.zeros((32, 32, 4), dtype=np.uint8))
    clear.save(folder / f"{NAMES[0]}.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / f"{NAMES[1]}.png").unlink()
    Image.fromarray(np.zeros((20, 32, 3), dtype=np.uint8)).save(folder / f"{NAMES[1]}.jpg", exif=exif)
    first, second = answers(folder)[:2]
    assert first.picture is not None and (first.picture == 255).all() and first.picture.shape == (32, 32, 3)
    assert second.picture is not None and second.picture.shape == (32, 20, 3)


def test_refusals_are_listed_or_empty_files(folder: Path) -> None:
    (folder / f"{NAMES[0]}.png").unlink()
    (folder / f"{NAMES[1]}.png").write_bytes(b"")
    (folder / f"{NAMES[2]}.png").unlink()
    write_table(folder / "refused.csv", "reason", (f"{NAMES[0]}.png", " against our policy "), (NAMES[2], ""))
    found = answers(folder)
    assert found[0] == Answer(None, ("refused", "owner-collected"), "against our policy")
    assert found[1].picture is None and found[1].note == "an empty file" and found[2].picture is None
    assert all(answer.picture is not None for answer in found[3:])
    assert questions_answered(folder) == set(NAMES)


def test_rewritten_prompts_are_noted(folder: Path) -> None:
    write_table(folder / "rewritten.csv", "prompt", (NAMES[3], "A vivid photograph of a kite"))
    found = answers(folder)
    assert found[3].flags == ("owner-collected", "prompt-rewritten") and found[3].note == "A vivid photograph of a kite"
    assert "prompt-rewritten" not in found[0].flags


def test_two_answers_to_one_question(folder: Path) -> None:
    (folder / f"{NAMES[0]}.jpg").write_bytes(encoded(noise(QUERIES[0], SAMPLER), "JPEG"))
    with pytest.raises(InputError, match=rf"two answers to one question: {NAMES[0]}.jpg and {NAMES[0]}.png"):
        read(folder)
    (folder / f"{NAMES[0]}.jpg").unlink()
    write_table(folder / "refused.csv", "reason", (NAMES[0], "no"))
    with pytest.raises(InputError, match="has a picture and is refused too"):
        read(folder)


def test_missing_answers(folder: Path) -> None:
    for name in NAMES[:2]:
        (folder / f"{name}.png").unlink()
    with pytest.raises(InputError, match=rf"lacks 2 of 6 answers, first {min(NAMES[:2])}\n.*refused.csv"):
        read(folder)


def test_files_that_answer_no_question(folder: Path) -> None:
    for name in ("holiday.png", f"{NAMES[0]} (1).png"):
        (folder / name).write_bytes(b"x")
        with pytest.raises(InputError, match=r"answers no question of this plan \(1 such files\)"):
            read(folder)
        (folder / name).unlink()
    (folder / "more").mkdir()
    with pytest.raises(InputError, match="is no file"):
        read(folder)
    with pytest.raises(InputError, match="is no folder"):
        read(folder / "missing")


def test_what_is_no_picture(folder: Path) -> None:
    path, whole = folder / f"{NAMES[0]}.png", encoded(noise(QUERIES[0], SAMPLER))
    for data in (b"<html>denied</html>", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"{NAMES[0]}.png (not a picture|cannot be decoded)"):
            read(folder)
    path.write_bytes(bomb(6001))
    with pytest.raises(InputError, match="36,012,001 pixels"):
        read(folder)
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(InputError, match="larger than 64 MiB"):
        read(folder)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("refused.csv", "name,why\na,b\n", "no columns 'file' and 'reason'"),
        ("refused.csv", f"file,reason\n{NAMES[0]},a\n{NAMES[0]}.png,b\n", "twice"),
        ("refused.csv", "file,reason\nq1234,a\n", "'q1234', which is no question"),
        ("refused.csv", b"file,reason\n\xff\xfe,a\n", "cannot be read"),
        ("rewritten.csv", "file,prompt\nq1234,a\n", "'q1234', which is no question"),
        ("rewritten.csv", "file\nq1234\n", "no columns 'file' and 'prompt'"),
        ("questions.json", "[1]", "no sheet of questions"),
        ("questions.json", "{", "no sheet of questions"),
    ],
)
def test_tables_that_cannot_be_used(folder: Path, name: str, content: str | bytes, why: str) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=why):
        read(folder)


def test_a_sheet_beside_the_answers_must_say_what_was_planned(folder: Path) -> None:
    (folder / "questions.csv").write_text(sheet_csv(ROWS), newline="")
    (folder / "questions.json").write_text(json.dumps(sheet_json(ROWS)))
    read(folder)
    for old, new, column in (
        ("number 3", "number 4", "prompt"),
        (str(2**60 + 2), "1.15292E+18", "seed"),
        (",20,", ",50,", "steps"),
        (",3.0,", ",7.5,", "guidance"),
    ):
        (folder / "questions.csv").write_text(sheet_csv(ROWS).replace(old, new), newline="")
        with pytest.raises(InputError, match=f"questions.csv asks otherwise than planned: q[0-9a-f]*, {column}"):
            read(folder)
    (folder / "questions.csv").unlink()
    changed = sheet_json(ROWS)
    changed["questions"][0]["prompt"] += "!"
    (folder / "questions.json").write_text(json.dumps(changed))
    with pytest.raises(InputError, match=r"questions\.json asks otherwise"):
        read(folder)


def test_a_black_box_is_its_name_and_its_answers_are_how_it_was_asked(folder: Path) -> None:
    first = read(folder).identity
    assert read(folder).identity == first
    picture = folder / f"{NAMES[0]}.png"
    data = picture.read_bytes()
    picture.write_bytes(encoded(noise(QUERIES[0], SAMPLER), "PNG", compress_level=1))
    assert picture.read_bytes() != data and read(folder).identity == first, "the same pixels"
    picture.write_bytes(encoded(noise(QUERIES[1], SAMPLER)))
    other = read(folder).identity
    assert other["weights"] == first["weights"] and other["answers"] != first["answers"]
    assert read(folder, "another").identity["weights"] != first["weights"]
    picture.write_bytes(data)
    for name, column in (("refused.csv", "reason"), ("rewritten.csv", "prompt")):
        write_table(folder / name, column, (NAMES[0], "no"))
        if name == "refused.csv":
            picture.unlink()
        assert read(folder).identity not in (first, other)
        (folder / name).unlink()
        picture.write_bytes(data)
