"""`detect trace` and `detect certify` on the command line: whom they name, in words and JSON, and what they refuse."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import detect.local_models
from cli import detect_app
from detect.suspects.images.suspect import Suspect
from protect.console import DONE, EVIDENCE, INCONCLUSIVE
from protect.embed.write import embed
from protect.errors import InputError, ReleaseError, TracemarkError
from protect.keys.keyring import Keyring
from protect.recipients.entry import Entry
from protect.recipients.ledger import open_ledger
from protect.release.bound import BoundRelease
from tests.support.leakers import Leaker
from tests.support.lean_releases import COUNT, SECRET, WORDING, with_list
from tests.support.leaning import make_varied_folder, sayable_captions
from tests.support.suspects import FakeSuspect


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> tuple[BoundRelease, Keyring]:
    """A release of which thirty people have copies, and one that is for everybody."""
    folder = tmp_path_factory.mktemp("issued")
    keyring, source = Keyring(folder / "home"), make_varied_folder(folder / "d", sayable_captions(COUNT))
    options = with_list(WORDING, keyring)
    done = embed(source, folder / "out", replace(options, recipients=True), keyring, secret=SECRET)
    embed(source, folder / "public", options, keyring, secret=b"p" * 32)
    with open_ledger(keyring) as ledger:
        ledger.issue(done.release, ((f"row {n}", Entry(f"Person {n}")) for n in range(1, 31)))
    return done.bound, keyring


class _Asked:
    """Runs commands with a suspect that is at hand."""

    def __init__(self, bound: BoundRelease, keyring: Keyring, patch: pytest.MonkeyPatch, place: Path) -> None:
        self.bound, self._patch, self.model = bound, patch, place / "leaking"
        self.model.mkdir()
        patch.setenv("TRACEMARK_HOME", str(keyring.home))
        patch.setenv("TRACEMARK_CACHE", str(place / "cache"))
        patch.chdir(place)

    def run(self, suspect: Suspect, command: str, *more: str) -> tuple[int, str]:
        """Exit code and output."""
        self._patch.setattr(detect.local_models.LoadingOptions, "load", lambda *_: suspect)
        arguments = [command, "out", "--model", str(self.model), *more]
        done = CliRunner().invoke(detect_app(), arguments, standalone_mode=False)
        if done.exception:
            raise done.exception
        return done.return_value, done.stdout

    def json(self, suspect: Suspect, command: str, *more: str) -> Any:
        """The JSON answer."""
        return json.loads(self.run(suspect, command, "--json", *more)[1])


@pytest.fixture
def asked(issued: tuple[BoundRelease, Keyring], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Asked:
    return _Asked(*issued, monkeypatch, tmp_path)


def test_the_leak_is_named_by_number_and_name(asked: _Asked) -> None:
    suspect = Leaker(asked.bound, [17])
    code, text = asked.run(suspect, "trace", "--exit-code")
    assert code == EVIDENCE and text.startswith("named: leaker") and "recipient 17 (Person 17): E = " in text
    assert "not who trained the model" in text and "one key in 20" in text
    row = asked.json(suspect, "trace")
    assert row["verdict"] == "named" and row["recipients_tested"] == 30
    (source,) = row["sources"]
    assert (source["serial"], source["name"]) == (17, "Person 17") and source["p_value"] <= row["alpha"] == 0.05
    assert source["e_value"] >= row["threshold"] == 600


def test_the_page_names_the_leak_and_nobody_else(asked: _Asked) -> None:
    page = asked.model.parent / f"tracemark-trace-{asked.model.name}.html"
    text = asked.run(Leaker(asked.bound, [17], 3.3), "trace")[1]
    assert f"report: {page.name}" in text and page.stat().st_mode & 0o077 == 0
    shown = page.read_text(encoding="utf-8")
    assert '<th scope="row">recipient 17 (Person 17)</th>' in shown and "<b>recipient 17 (Person 17)</b>" in shown
    assert "Evidence of 30 recipient(s)" in shown and "a name needs 600; 1 reached it" in shown
    assert set(re.findall(r"Person \d+", shown)) == {"Person 17"} and asked.bound.release.commitment in shown
    asked.run(FakeSuspect("more noise"), "trace", "--report", "other.html")
    nobody = page.with_name("other.html").read_text(encoding="utf-8")
    assert "<b>nobody</b>" in nobody and "Person" not in nobody and "0 reached it" in nobody


def test_the_page_of_a_certificate_is_about_one_recipient(asked: _Asked) -> None:
    page, own = asked.model.parent / f"tracemark-certify-{asked.model.name}.html", Leaker(asked.bound, [9], 3.2)
    asked.run(own, "certify", "--recipient", "9")
    shown = page.read_text(encoding="utf-8")
    assert "<b>certified</b>" in shown and "Person 9" in shown and "Evidence of 1 recipient(s)" in shown
    asked.run(own, "certify", "--recipient", "10")
    assert page.read_text(encoding="utf-8") == shown, "the second certificate did not take the first one's place"
    other = page.with_stem(f"{page.stem}-2").read_text(encoding="utf-8")
    assert "<b>not certified</b>" in other and "Person 9" not in other and "0 reached it" in other


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_asked(asked: _Asked) -> None:
    suspect = Leaker(asked.bound, [2], 2.2)
    for wrong in (("--report", "page.txt"), ("--report", "a.html", "-o", "a.html")):
        with pytest.raises(InputError, match=r"is not an \.html file|would both go to"):
            asked.run(suspect, "trace", *wrong)
    assert suspect.asked == 0


def test_nobody_is_named_without_evidence(asked: _Asked) -> None:
    code, text = asked.run(FakeSuspect("noise"), "trace", "--exit-code")
    assert code == DONE and "Nobody is named" in text and "does not show that no copy was used" in text
    assert "Person" not in text, "whoever is not named does not appear"


def test_a_licensees_model_is_certified_and_a_strangers_is_not(asked: _Asked) -> None:
    own = Leaker(asked.bound, [9], 2.9)
    code, text = asked.run(own, "certify", "--recipient", "person 9", "--exit-code")
    assert code == EVIDENCE and "was given to recipient 9 (Person 9)" in text
    row = asked.json(own, "certify", "--recipient", "9")
    assert row["verdict"] == "named" and row["recipients_tested"] == 1 and row["threshold"] == 1 / row["alpha"] == 20
    other = Leaker(asked.bound, [10], 2.9)
    code, text = asked.run(other, "certify", "--recipient", "9", "--exit-code")
    assert code == DONE and "does not show the marks of recipient 9 (Person 9) enough" in text
    assert asked.json(other, "trace")["alpha"] == 0.025, "the second look has half the level"


def test_answers_that_say_nothing_are_no_acquittal(asked: _Asked) -> None:
    class Silent(FakeSuspect):
        def paint(self, query: object) -> Any:
            return FakeSuspect.paint(self, query)[:1, :1].repeat(32, 0).repeat(32, 1)  # type: ignore[arg-type]

    code, text = asked.run(Silent("silent"), "trace", "--exit-code")
    assert code == INCONCLUSIVE and "No statement can be made" in text


def test_a_dry_run_says_what_a_name_takes_and_asks_nothing(asked: _Asked) -> None:
    suspect = Leaker(asked.bound, [1], 2.0)
    code, text = asked.run(suspect, "trace", "--dry-run")
    assert code == DONE and "a name among 30 recipients needs E >= 600" in text and suspect.asked == 0


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        (("trace", "public"), InputError, "one copy for everybody"),
        (("trace", "nowhere"), ReleaseError, "no release"),
        (("certify", "out", "--recipient", "31"), InputError, "no recipient '31' among 30"),
        (("certify", "out", "--recipient", "Nobody"), InputError, "no recipient 'Nobody'"),
        (("trace", "out", "--model", "/nowhere/model"), TracemarkError, "/nowhere/model"),
    ],
)
def test_what_cannot_be_traced_is_refused(
    asked: _Asked, command: tuple[str, ...], error: type[TracemarkError], message: str
) -> None:
    name, release, *more = command
    model = [] if "--model" in more else ["--model", str(asked.model)]
    done = CliRunner().invoke(detect_app(), [name, release, *model, *more], standalone_mode=False)
    assert isinstance(done.exception, error) and message in str(done.exception)
