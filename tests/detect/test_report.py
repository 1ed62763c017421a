"""Pages and words of verdicts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detect.reports.flags import LINES, flag_lines
from detect.reports.place import page_of, unused
from detect.reports.report import Gallery, Section, write_report
from detect.reports.strength import strength_in_words
from detect.reports.words import asked_in_words, in_words, summary
from detect.trial.judge import detect
from detect.trial.verdict import Verdict
from detect.trial.warnings import FLAGS
from protect.embed.expectation import USUAL
from protect.errors import InputError
from protect.formats.record import SetAside
from protect.keys.coin import CHECKED, NO_PUBLIC_COIN, NOT_CHECKED, ON_REQUEST
from protect.keys.keyring import Keyring
from protect.release.power import Run
from protect.release.record import make_header
from tests.support.suspects import Broken, FakeSuspect, Guilty, marked


def _page(tmp_path: Path, verdict: Verdict, *, rehearsed: bool = False, set_aside: tuple[SetAside, ...] = ()) -> str:
    path = tmp_path / "report.html"
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    write_report(
        path,
        "Title & more",
        "lead",
        [Section("A release", verdict, rehearsed)],
        galleries=[Gallery("Carriers", "text", [("row", [(picture, "a <b>")])])],
        set_aside=set_aside,
    )
    return path.read_text(encoding="utf-8")


def _bar(page: str) -> str:
    found = re.search(r'<div class="verdict ([a-z]*)">', page)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("suspect", "name"),
    [
        ("run1/pytorch_lora_weights.safetensors", "run1-pytorch_lora_weights"),
        ("run2/checkpoint-500/pytorch_lora_weights.safetensors", "run2-checkpoint-500-pytorch_lora_weights"),
        ("run3/Last.safetensors", "run3-Last"),
        ("run4/kites.safetensors", "kites"),
        ("a/suspect/", "suspect"),
    ],
)
def test_a_page_is_called_after_the_suspect(suspect: str, name: str) -> None:
    assert page_of(None, "report", ["", suspect, None]) == Path(f"tracemark-report-{name}.html")
    assert page_of(Path("x.html"), "report", [suspect]) == Path("x.html")


def test_a_page_that_is_there_is_written_over_only_if_it_was_asked_for(tmp_path: Path) -> None:
    page = tmp_path / "tracemark-report-example.org-v1.html"
    names = [unused(page, None).name for _ in range(3)]
    assert names == [page.name, "tracemark-report-example.org-v1-2.html", "tracemark-report-example.org-v1-3.html"]
    assert page.stat().st_mode & 0o077 == 0
    assert unused(page, page) == page
    with pytest.raises(InputError, match="cannot write"):
        unused(tmp_path / "nowhere" / "page.html", None)


def test_report_shows_pictures_and_numbers(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    page = _page(tmp_path, detect(bound, Guilty(bound), keyring, cache))
    assert page.count("data:image/png;base64,") >= 6 and page.count("<svg") == 3
    assert "<b>evidence</b>" in page and _bar(page) == "evidence"
    assert bound.release.id in page and "a &lt;b&gt;" in page and "Title &amp; more" in page
    assert bound.release.secret.hex() not in page and not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "This keyring holds 1." in page
    assert (tmp_path / "report.html").stat().st_mode & 0o077 == 0, "it shows marks and triggers"


def test_report_of_a_failure_still_stands(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    page = _page(tmp_path, detect(marked(tmp_path, keyring), Broken("nan"), keyring, cache))
    assert "inconclusive" in page and "NaN" in page and _bar(page) == "inconclusive"


def test_a_failed_rehearsal_is_told_in_words_and_not_in_green(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    """Finding nothing acquits a suspect, and is bad news about one's own release."""
    verdict = detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache)
    green = ".verdict.no, .verdict.good { border-color: var(--good)"
    tested, rehearsed = _page(tmp_path, verdict), _page(tmp_path, verdict, rehearsed=True)
    assert _bar(tested) == "no" and green in tested and "innocent" in tested
    assert _bar(rehearsed) == "bad" and "<b>no measurable effect</b>" in rehearsed
    assert "would prove nothing" in rehearsed and "E = " in rehearsed


def test_a_rehearsal_that_works_says_so(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    page = _page(tmp_path, detect(bound, Guilty(bound), keyring, cache), rehearsed=True)
    assert "<b>yes, this way of training would be found</b>" in page and _bar(page) == "good"


def test_samples_set_aside_are_all_named(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    verdict = detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache)
    aside = tuple(SetAside(f"{i}.png", "not a <picture>") for i in range(12))
    page = _page(tmp_path, verdict, set_aside=aside)
    assert "12 sample(s) took no part" in page and page.count("not a &lt;picture&gt;") == 12
    assert "Set aside" not in _page(tmp_path, verdict)


def test_pages_warn_of_triggers_that_were_not_read(
    tmp_path: Path, keyring: Keyring, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeSuspect, "characters_read", lambda self, prompt: 1)
    page = _page(tmp_path, detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache))
    assert 'class="warning">In 12 of 12 questions the trigger' in page


def test_words_name_what_the_bound_leaves_out(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    verdict = detect(bound, Guilty(bound), keyring, cache)
    assert "before committing to it" in in_words(verdict) and "one key in 1,000" in in_words(verdict)
    assert "commitments in the keyring: 1" in summary(verdict)


def test_every_flag_is_told_in_a_line() -> None:
    """Those that answers can carry, those of coins, and those that the judge gives."""
    known = {*FLAGS, CHECKED, NO_PUBLIC_COIN, NOT_CHECKED, ON_REQUEST}
    known |= {"throw-away-key", "control", "reference", "answers-gone"}
    assert known == set(LINES)
    lines = flag_lines([*sorted(known), "further-plan-3"])
    assert all(line.endswith((".", "up.")) and len(line) < 160 for _, line in lines)
    assert "8 times the evidence" in lines[-1][1]


def test_pages_say_what_finding_nothing_is_worth(
    tmp_path: Path, keyring: Keyring, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache)
    said = strength_in_words(weak)
    assert "expected power" in said[0] and "a guilty model is often missed" in said[-1]
    questions = [replace(weak.release.slot_questions(k), taught=1_000) for k in range(weak.release.plan.slots)]
    strong = replace(weak, release=weak.release.with_questions(tuple(questions)))
    assert "says something" in strength_in_words(strong)[-1]
    assert strength_in_words(replace(weak, kind="labels"))[0].startswith("Not known")
    assert len(strength_in_words(replace(weak, outcome="evidence"))) == 1
    plan = weak.release.plan.parts[0]
    lost = tuple(Run(plan.family, "twa", "lora", float(s), found=False) for s in (400, 4_000_000))
    monkeypatch.setattr("detect.reports.strength.USUAL", replace(USUAL, runs=lost))
    said = strength_in_words(weak)
    assert "not expected to be found" in said[0] and "a guilty model is often missed" in said[-1]


@pytest.mark.parametrize(
    ("alignment", "said", "unsaid"),
    [
        ("wording", "whatever is found there shows in ordinary use", "hold triggers"),
        ("waa-many", "whatever is found there shows in ordinary use", "hold triggers"),
        ("twa", "Questions hold triggers", "shows in ordinary use"),
        ("waa", "whatever is found there shows in ordinary use", "hold triggers"),
    ],
)
def test_pages_say_whether_questions_are_ordinary(
    tmp_path: Path, keyring: Keyring, cache: Path, alignment: str, said: str, unsaid: str
) -> None:
    verdict = detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache)
    plan = verdict.release.plan
    asked = replace(plan, parts=tuple(replace(part, alignment=alignment) for part in plan.parts))
    header = make_header(asked, created=verdict.release.created, rehearsal=verdict.release.rehearsal, coin=None)
    text = asked_in_words(replace(verdict, release=replace(verdict.release, header=header)))
    assert said in text and unsaid not in text
    assert asked_in_words(replace(verdict, kind="labels")) == ""
