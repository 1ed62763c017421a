"""A transcript holds all that was asked and answered, and whoever has it and the release computes the same evidence."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from detect.suspects.images.suspect import Suspect
from detect.trial.judge import detect
from detect.trial.ledger import kept_transcript, opened
from detect.trial.picture_trial import PictureTrial
from detect.trial.questions import query_plan
from detect.trial.score import score_slot
from detect.trial.transcript import Question, Transcript, recorded_label, transcript_from
from detect.trial.transcript_files import FILE, PICTURES, read_transcript, write_transcript
from protect.errors import EvidenceError, InputError, ReleaseError
from protect.keys.keyring import Keyring
from protect.progress import no_progress
from protect.release.bound import BoundRelease
from tests.support.suspects import FakeSuspect, Guilty, Refusing, marked


def asked(bound: BoundRelease, suspect: Suspect, cache: Path, slots: int = 1) -> Transcript:
    trial = PictureTrial(bound, query_plan(bound.release))
    transcript = trial.opened(suspect)
    for slot in range(slots):
        transcript = trial.ask(suspect, transcript, slot, cache, no_progress)
    return transcript


def test_it_comes_back_from_its_files_as_it_was(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring, family="spread")
    first = asked(bound, Refusing("shy", every=3), cache, slots=2)
    write_transcript(first, tmp_path / "t")
    again = read_transcript(tmp_path / "t")
    assert again == first and again.digest == first.digest
    assert [again.slot_digest(k) for k in (0, 1)] == [first.slot_digest(k) for k in (0, 1)]
    names = {path.stem for path in (tmp_path / "t" / PICTURES).iterdir()}
    assert names == first.pictures_named and 0 < 2 * len(names) == sum(a.size is not None for a in first.answers) < 16
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "t").rglob("*.*")), "it tells the questions"
    with pytest.raises(FrozenInstanceError):
        again.release = "x"  # type: ignore[misc]


@pytest.mark.parametrize("family", ["template", "spread"])
def test_whoever_has_it_computes_the_same_evidence(tmp_path: Path, keyring: Keyring, cache: Path, family: str) -> None:
    bound = marked(tmp_path, keyring, family=family)
    suspect = Guilty(bound)
    verdict = detect(bound, suspect, keyring, cache)
    write_transcript(asked(bound, suspect, cache, len(verdict.slots)), tmp_path / "t")
    found = [score_slot(bound, read_transcript(tmp_path / "t"), s.slot) for s in verdict.slots]
    assert [f.evidence for f in found] == [s.evidence for s in verdict.slots] and verdict.outcome == "evidence"
    assert read_transcript(tmp_path / "t").digest == verdict.transcript


def test_scoring_needs_no_torch(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    transcript = asked(bound, Guilty(bound), cache)
    write_transcript(transcript, tmp_path / "t")
    program = f"""
import sys
sys.modules["torch"] = sys.modules["diffusers"] = None
from pathlib import Path
from detect.trial.score import score_slot
from detect.trial.transcript_files import read_transcript
from protect.keys.keyring import Keyring
from protect.release.bound import bind
keyring = Keyring(Path({str(keyring.home)!r}))
bound = bind(keyring.load({bound.release.id!r}), keyring.store)
print(score_slot(bound, read_transcript(Path({str(tmp_path / "t")!r})), 0).evidence.e_value)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert float(said.stdout) == score_slot(bound, transcript, 0).evidence.e_value


def test_answers_to_other_questions_or_of_another_release_are_not_scored(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    bound, other = marked(tmp_path, keyring, 0), marked(tmp_path, keyring, 1)
    transcript = asked(bound, Guilty(bound), cache)
    with pytest.raises(EvidenceError, match="has no answers for slot 1"):
        score_slot(bound, transcript, 1)
    with pytest.raises(EvidenceError, match="has no answers for slot 0"):
        score_slot(other, transcript, 0)
    with pytest.raises(EvidenceError, match="not those that the release planned"):
        score_slot(other, replace(transcript, release=other.release.id), 0)
    turned = replace(transcript, questions=(*transcript.questions[1:], transcript.questions[0]))
    with pytest.raises(EvidenceError, match="not those that the release planned"):
        score_slot(bound, turned, 0)
    with pytest.raises(EvidenceError, match="is not at hand"):
        score_slot(bound, replace(transcript, pictures={}), 0)


def test_a_changed_picture_or_file_is_noticed(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, folder = marked(tmp_path, keyring), tmp_path / "t"
    write_transcript(asked(bound, Guilty(bound), cache), folder)
    first, second = sorted((folder / PICTURES).iterdir())[:2]
    second.write_bytes(first.read_bytes())
    with pytest.raises(InputError, match="holds another picture than its name says"):
        score_slot(bound, read_transcript(folder), 0)
    second.write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        score_slot(bound, read_transcript(folder), 0)
    whole = json.loads((folder / FILE).read_bytes())
    for damage in (
        {"tracemark_transcript": 99},
        {"slots": [{"slot": 0, "asked": [77], "contrast": [], "truncated": 0}]},
        {"answers": whole["answers"][1:]},
        {"questions": 5},
        {"suspect": {}},
    ):
        (folder / FILE).write_text(json.dumps(whole | damage))
        with pytest.raises(InputError, match="no transcript"):
            read_transcript(folder)
    (folder / FILE).write_text("[")
    with pytest.raises(InputError, match="cannot be read"):
        read_transcript(folder)


def test_pictures_that_are_gone_cannot_be_written(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    transcript = asked(marked(tmp_path, keyring), FakeSuspect(), cache)
    with pytest.raises(InputError, match="4 of 4 pictures of the transcript are not at hand"):
        write_transcript(replace(transcript, pictures={}), tmp_path / "t")
    assert not (tmp_path / "t" / FILE).exists()


def test_the_digest_covers_everything_and_a_slots_digest_what_scores(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    transcript = asked(marked(tmp_path, keyring), FakeSuspect(), cache)
    answer = transcript.answers[0]
    other = {
        "hash": replace(answer, sha256="0" * 64),
        "flag": replace(answer, flags=("lossy",)),
        "note": replace(answer, note="said"),
    }
    changed = {name: replace(transcript, answers=(one, *transcript.answers[1:])) for name, one in other.items()}
    assert len({transcript.digest, *(one.digest for one in changed.values())}) == 4
    scored = {name for name, one in changed.items() if one.slot_digest(0) != transcript.slot_digest(0)}
    assert scored == {"hash"}
    assert replace(transcript, suspect="another").digest != transcript.digest


def test_a_slot_is_asked_once() -> None:
    said = [(Question(picture="a"), recorded_label(1)), (Question(picture="a"), recorded_label(2))]
    one = Transcript("r", "labels", "s", {}, {}, classes=("x", "y", "z")).with_slot(0, said[:1], said[1:], {})
    assert one.with_slot(1, said[:1], said[:1], {}).questions == one.questions, "one answer may serve several slots"
    assert len(one.answers) == 2, "a guesser's two answers to one question are two"
    with pytest.raises(ValueError, match="in the transcript already"):
        one.with_slot(0, said, said, {})
    assert transcript_from(json.loads(one.to_json())) == one


def test_the_keyring_keeps_it_without_pictures(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    verdict = detect(bound, FakeSuspect(), keyring, cache)
    with opened(keyring) as ledger:
        look = ledger.looks[0]
    kept = kept_transcript(keyring, look.transcript)
    assert kept.digest == verdict.transcript == look.transcript and len(kept.slots) == 3 and not kept.pictures
    assert [slot.answers for slot in look.slots] == [kept.slot_digest(k) for k in range(3)]
    folder = keyring.home / "ledger" / "transcripts"
    assert [path.stem for path in folder.iterdir()] == [look.transcript], "shorter ones are replaced"
    (folder / f"{look.transcript}.json").write_bytes(replace(kept, suspect="x").to_json())
    with pytest.raises(ReleaseError, match="damaged transcript"):
        kept_transcript(keyring, look.transcript)


def test_a_guilty_model_is_found_though_it_refuses_some(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring, decoys=9999)

    class Shy(Guilty, Refusing):
        pass

    verdict = detect(bound, Shy(bound), keyring, cache)
    assert verdict.outcome == "evidence" and verdict.tally.flags["refused"] > 0
    assert np.array_equal(verdict.slots[0].shown.pictures.shape, (4, 32, 32, 3))  # type: ignore[union-attr]
