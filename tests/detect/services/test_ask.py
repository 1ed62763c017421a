"""The sheet of questions: what it says, what it does not, and in which order."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest

from detect.asking.sheet import question_name, sheet_csv, sheet_json, sheet_rows, write_sheet
from detect.suspects.images.suspect import Query
from detect.trial.questions import Departures, query_plan, slot_queries
from protect.embed.write import embed
from protect.errors import InputError
from protect.keys.keyring import Keyring
from protect.release.bound import BoundRelease
from tests.support.lean_releases import COUNT, SECRET, WORDING, with_list
from tests.support.leaning import make_varied_folder, sayable_captions
from tests.support.suspects import marked


@pytest.fixture
def bound(tmp_path: Path, keyring: Keyring) -> BoundRelease:
    """Three slots; questions with and without the trigger."""
    return marked(tmp_path, keyring, family="spread")


def test_every_planned_question_stands_there_once_in_an_order_that_tells_nothing(bound: BoundRelease) -> None:
    plan = query_plan(bound.release)
    rows = sheet_rows(bound, plan)
    wanted = {(q.prompt, q.seed) for slot in bound.slots for q in slot_queries(slot, plan.queries)}
    assert {(row.prompt, row.seed) for row in rows} == wanted and len(rows) == len(wanted) == 3 * 4 * 2
    assert [row.file for row in rows] == sorted(question_name(Query(row.prompt, row.seed)) for row in rows)
    assert {(row.steps, row.guidance, row.size, row.negative_prompt) for row in rows} == {(20, 3.0, None, "")}
    slots = [next(s.number for s in bound.slots if row.seed in s.questions.seeds) for row in rows]
    assert slots != sorted(slots) and slots != sorted(slots, reverse=True)


def test_fewer_questions_are_some_of_all(bound: BoundRelease) -> None:
    few = sheet_rows(bound, query_plan(bound.release, Departures(queries=2, steps=30, guidance=5)))
    everything = {row.file for row in sheet_rows(bound, query_plan(bound.release))}
    assert len(few) == 3 * 2 * 2 and {row.file for row in few} < everything
    assert {(row.steps, row.guidance) for row in few} == {(30, 5)}


def test_questions_that_serve_several_slots_are_asked_once(tmp_path: Path, keyring: Keyring) -> None:
    source = make_varied_folder(tmp_path / "d", sayable_captions(COUNT))
    bound = embed(source, tmp_path / "out", with_list(WORDING, keyring), keyring, secret=SECRET).bound
    plan = query_plan(bound.release)
    rows = sheet_rows(bound, plan)
    assert len(bound.slots) > 1 and len(rows) == len(set(slot_queries(bound.slots[0], plan.queries)))


def test_nothing_but_prompts_and_settings_is_in_it(bound: BoundRelease, tmp_path: Path) -> None:
    """No id, name, key, slot, trigger of its own, nor anything that says what it is for."""
    rows = sheet_rows(bound, query_plan(bound.release))
    write_sheet(tmp_path / "sheet", rows)
    release = bound.release
    secrets = [release.id, release.name, release.commitment, release.coin, str(tmp_path)]
    secrets += [str(number) for slot in bound.slots for number in (slot.planted, *slot.decoys[:20])]
    for path in (tmp_path / "sheet").iterdir():
        text = html.unescape(re.sub("(?s)<style>.*?</style>", "", path.read_text()))
        for prompt in sorted({row.prompt for row in rows}, key=len, reverse=True):
            text = text.replace(prompt, "")
        assert not [secret for secret in secrets if secret and secret in text], path.name
        assert not [slot.trigger for slot in bound.slots if slot.trigger.lower() in text.lower()], path.name
        assert not re.search(r"\b(slot|trigger|decoy|mark|carrier)s?\b", text, re.IGNORECASE), path.name


def test_table_and_json_hold_the_same_and_survive_any_caption(tmp_path: Path) -> None:
    from detect.asking.sheet import SheetRow

    nasty = 'a "red, kite"\n=1+1 </script><script>alert(1)</script> {{ x }} 红 \u202e'
    rows = [SheetRow("q0", nasty, "no; blur", 2**63 - 1, 20, 3.0, None), SheetRow("q1", " b ", "", 0, 20, 3.0, 512)]
    read = list(csv.DictReader(io.StringIO(sheet_csv(rows), newline="")))
    assert read[0]["prompt"] == nasty and read[0]["seed"] == str(2**63 - 1) and read[0]["size"] == ""
    assert read[1]["prompt"] == " b " and read[1]["size"] == "512"
    assert sheet_json(rows)["questions"][0]["prompt"] == nasty
    write_sheet(tmp_path / "sheet", rows)
    assert json.loads((tmp_path / "sheet" / "questions.json").read_text()) == sheet_json(rows)
    page = (tmp_path / "sheet" / "questions.html").read_text()
    assert "alert(1)</script>" not in page and html.escape("</script>") in page


def test_the_page_needs_nothing_from_elsewhere_and_reads_without_scripts(bound: BoundRelease, tmp_path: Path) -> None:
    rows = sheet_rows(bound, query_plan(bound.release))
    write_sheet(tmp_path / "sheet", rows)
    page = (tmp_path / "sheet" / "questions.html").read_text()
    assert not re.search(r"https?://|\bsrc=|@import|url\(", page)

    class Texts(HTMLParser):
        texts: list[str] = []  # noqa: RUF012
        inside = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.inside = tag

        def handle_data(self, data: str) -> None:
            if self.inside not in ("script", "style"):
                self.texts.append(data)

    reader = Texts()
    reader.feed(page)
    for row in rows:
        assert {row.prompt, row.file, str(row.seed)} <= set(reader.texts)
    assert "button" not in page.partition("<script>")[0].replace('class="scripted"', "").partition("button {")[0]


def test_a_sheet_is_private_whole_and_never_written_over(bound: BoundRelease, tmp_path: Path) -> None:
    rows = sheet_rows(bound, query_plan(bound.release))
    write_sheet(tmp_path / "sheet", rows)
    files = sorted((tmp_path / "sheet").iterdir())
    assert [path.name for path in files] == ["questions.csv", "questions.html", "questions.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    with pytest.raises(InputError, match="is not empty"):
        write_sheet(tmp_path / "sheet", rows)
