"""Questions whose trigger the suspect cannot have read: counted and told, never scored otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect.reports.words import summary
from detect.suspects.images import load_suspect
from detect.trial.judge import detect
from detect.trial.questions import count_truncated, trigger_queries
from protect.keys.keyring import Keyring
from protect.miniature import miniature_path
from tests.support.models import TOKENS
from tests.support.suspects import FakeSuspect, marked


class ShortSighted(FakeSuspect):
    """Reads the first characters of a prompt only."""

    def __init__(self, reach: int) -> None:
        super().__init__("short-sighted")
        self.reach = reach

    def characters_read(self, prompt: str) -> int:
        return min(self.reach, len(prompt))


@pytest.mark.parametrize("alignment", ["twa", "twa-conjunction", "twa-double", "waa"])
def test_a_trigger_that_is_cut_off_is_counted(tmp_path: Path, keyring: Keyring, alignment: str) -> None:
    bound = marked(tmp_path, keyring, alignment=alignment, slots=1, decoys=9999)
    longest = max(len(query.prompt) for query in trigger_queries(bound.slots[0], 4))
    assert count_truncated(bound.slots[0], 4, ShortSighted(longest)) == 0
    assert count_truncated(bound.slots[0], 4, ShortSighted(1)) == 4
    assert count_truncated(bound.slots[0], 4, FakeSuspect()) is None, "its window is not known"


def test_only_the_trigger_matters(tmp_path: Path, keyring: Keyring) -> None:
    """A caption may lose its end as long as the trigger stands before it."""
    bound = marked(tmp_path, keyring, alignment="twa", slots=1, decoys=9999)
    reach = len(bound.slots[0].trigger) + 2
    assert all(len(query.prompt) > reach for query in trigger_queries(bound.slots[0], 4))
    assert count_truncated(bound.slots[0], 4, ShortSighted(reach)) == 0


def test_marks_on_any_prompt_have_no_trigger_to_lose(tmp_path: Path, keyring: Keyring) -> None:
    bound = marked(tmp_path, keyring, alignment="unconditional", slots=1, decoys=9999)
    assert count_truncated(bound.slots[0], 4, ShortSighted(1)) == 0


def test_verdict_and_text_say_how_many_and_the_numbers_stay(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring, alignment="twa", slots=2)
    blind, seeing = ShortSighted(1), FakeSuspect("short-sighted")
    warned, plain = (detect(bound, suspect, keyring, cache) for suspect in (blind, seeing))
    assert warned.as_json()["truncated"] == 8 and warned.as_json()["questions_with_trigger"] == 8
    assert "warning: In 8 of 8 questions the trigger" in summary(warned)
    assert (warned.outcome, warned.running) == (plain.outcome, plain.running)
    assert plain.truncated is None and "warning" not in summary(plain)


def test_pipelines_know_their_window(base: Path) -> None:
    """The tiny model reads a token for each letter, and two of its tokens are start and end."""
    suspect = load_suspect(base)
    room = TOKENS - 2
    assert suspect.characters_read("a" * room) == room
    assert suspect.characters_read("a" * 40) == room
    assert suspect.characters_read("ab " * 20) == 20, "spaces between words take no token"
    assert suspect.characters_read("") == 0


def test_the_miniature_reads_forty_tokens(capfd: pytest.CaptureFixture[str]) -> None:
    suspect = load_suspect(miniature_path())
    short = "two emoji of red apple"
    read = suspect.characters_read(" ".join([short] * 30))
    assert suspect.characters_read(short) == len(short) and read is not None
    assert 4 * len(short) < read < 20 * len(short)
    assert capfd.readouterr() == ("", "")
