"""Evidence bundles: whole, deterministic, computed again without keyring or torch, and no change passes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detect.bundle.container import MANIFEST, SIGNATURE, packed, unpacked
from detect.bundle.opening import opening_of
from detect.bundle.verify import verify_bundle
from detect.bundle.write import COMMITMENT, OPENING, VERDICT, write_bundle
from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect
from detect.trial.judge import detect
from detect.trial.verdict import Verdict
from protect.embed.write import embed
from protect.errors import EvidenceError, InputError, TracemarkError
from protect.files import canonical_json
from protect.keys.keyring import Keyring
from protect.keys.signature import public_key_pem, read_public_key
from protect.keys.tree import slot_key
from protect.release.bound import BoundRelease
from tests.detect.test_lean_trial import Noisy, Worded
from tests.support.lean_releases import COUNT, SECRET, WORDING, with_list
from tests.support.leaning import make_varied_folder, sayable_captions

Case = tuple[BoundRelease, Keyring, Verdict, Path]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A guilty suspect's verdict and its bundle."""
    folder = tmp_path_factory.mktemp("case")
    keyring, source = Keyring(folder / "home"), make_varied_folder(folder / "d", sayable_captions(COUNT))
    bound = embed(source, folder / "out", with_list(WORDING, keyring), keyring, secret=SECRET).bound
    verdict = detect(bound, Worded(bound), keyring, folder / "cache", reference=Noisy("base"))
    path = folder / "case.zip"
    write_bundle(path, verdict, keyring, "<html>page</html>")
    return bound, keyring, verdict, path


def test_the_verdict_is_computed_again(case: Case) -> None:
    bound, keyring, verdict, path = case
    found = verify_bundle(path)
    assert verdict.outcome == found.outcome == "evidence"
    assert found.e_value == pytest.approx(verdict.e_value, rel=1e-12) and found.p_value == verdict.p_value
    assert found.release == bound.release.id and found.slots == len(verdict.slots)
    key = read_public_key(public_key_pem(keyring), "key")
    assert found.signer == key and verify_bundle(path, signer=key) == found
    said = " ".join(found.rests_on)
    assert "no timestamp" in said and "no public coin" in said and "computed again" in said


def test_the_same_verdict_gives_the_same_bytes(case: Case, tmp_path: Path) -> None:
    _, keyring, verdict, path = case
    write_bundle(tmp_path / "again.zip", verdict, keyring, "<html>page</html>")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_neither_the_secret_nor_other_slots_are_in_it(case: Case) -> None:
    bound, _, verdict, path = case
    data = path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0, "seeds and triggers of the slots asked are"
    asked = len(verdict.slots)
    assert 0 < asked < len(bound.slots), "the suspect was found before the last slot"
    assert bound.release.secret.hex().encode() not in data
    for slot in bound.slots[asked:]:
        assert slot.key.key.hex().encode() not in data
        assert json.dumps(bound.release.questions[slot.number].decode())[1:200].encode() not in data


def test_it_is_checked_without_torch_and_without_a_keyring(case: Case, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from pathlib import Path\n"
        "from detect.bundle.verify import verify_bundle; print(verify_bundle(Path(sys.argv[1])).outcome)"
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TRACEMARK_HOME": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(case[3])],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.stdout.strip() == "evidence", done.stderr
    assert not (tmp_path / "none").exists()


def test_no_change_of_a_byte_passes(case: Case, tmp_path: Path) -> None:
    data, rng, path = case[3].read_bytes(), np.random.default_rng(0), tmp_path / "changed.zip"
    for place in rng.choice(len(data), 1000, replace=False).tolist():
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(InputError, match="not an evidence bundle as it was written"):
            unpacked(path)


def test_bytes_cut_off_or_added_do_not_pass(case: Case, tmp_path: Path) -> None:
    data, path = case[3].read_bytes(), tmp_path / "changed.zip"
    for other in (data[:-1], data + b"\0", data[1:], b"", b"PK", data + data):
        path.write_bytes(other)
        with pytest.raises(InputError, match="not an evidence bundle"):
            unpacked(path)


def written_otherwise(files: dict[str, bytes], path: Path) -> Path:
    """What somebody writes who makes a bundle of his own from another's: manifest right, signature left out."""
    path.write_bytes(packed({name: data for name, data in files.items() if name != SIGNATURE}))
    return path


def edited(name: str, change: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    """Change one JSON file of a bundle."""

    def edit(files: dict[str, bytes]) -> None:
        row = json.loads(files[name])
        change(row)
        files[name] = canonical_json(row)

    return edit


def swap_pictures(files: dict[str, bytes]) -> None:
    """Two answers change places."""
    first, second = [name for name in files if name.startswith("pictures/")][:2]
    files[first], files[second] = files[second], files[first]


FORGERIES: dict[str, Callable[[dict[str, bytes]], None]] = {
    "higher E": edited(VERDICT, lambda row: row.update(e_value=row["e_value"] * 10)),
    "lower threshold": edited(VERDICT, lambda row: row.update(threshold=1.0)),
    "smaller p": edited(VERDICT, lambda row: row.update(p_value=row["p_value"] / 2)),
    "another slot's p": edited(VERDICT, lambda row: row["slots"][0].update(p_value=0.5)),
    "a slot less": edited(VERDICT, lambda row: row.update(slots=row["slots"][1:])),
    "another seed": edited(OPENING, lambda row: row["slots"][0].update(seed="00" * 32)),
    "another coin": edited(OPENING, lambda row: row.update(coin="00" * 32)),
    "another question": edited(
        OPENING, lambda row: row["slots"][0].update(questions=row["slots"][0]["questions"].replace("a", "b", 1))
    ),
    "another plan": edited(
        OPENING, lambda row: row.update(header=row["header"].replace('"alpha":0.05', '"alpha":0.5'))
    ),
    "another commitment": edited(COMMITMENT, lambda row: row.update(created="2020-01-01T00:00:00+00:00")),
    "another prompt": edited("transcript.json", lambda row: row["questions"][0].update(prompt="a cat")),
    "another answer": edited("transcript.json", lambda row: row["answers"].reverse()),
    "an answer missing": lambda files: files.pop(next(name for name in files if name.startswith("pictures/"))) and None,
    "pictures swapped": swap_pictures,
    "no verdict": lambda files: files.pop(VERDICT) and None,
    "no number as threshold": lambda files: files.update(
        {VERDICT: files[VERDICT].replace(b'"threshold":', b'"threshold":NaN,"was":')}
    ),
    "looks before the first": edited(
        VERDICT, lambda row: row.update(threshold=1e-6, looks=[look | {"further": -40} for look in row["looks"]])
    ),
    "half a look": edited(VERDICT, lambda row: [look.update(further=0.5) for look in row["looks"]]),
    "no look": edited(VERDICT, lambda row: row.update(looks=[])),
    "more than evidence": edited(VERDICT, lambda row: row.update(verdict="evidence, beyond doubt")),
    "another suspect": edited(VERDICT, lambda row: row["suspect"].update(name="somebody else")),
    "another release": edited(VERDICT, lambda row: row["release"].update(id="0123456789abcdef")),
    "a coin nobody named": edited(OPENING, lambda row: row.update(coin="salt")),
    "rubbish": lambda files: files.update({VERDICT: b"[1]"}),
    "a verdict without bottom": lambda files: files.update({VERDICT: b"[" * 200_000}),
    "a release without bottom": lambda files: files.update({OPENING: b"[" * 200_000}),
    "a transcript without bottom": lambda files: files.update({"transcript.json": b"[" * 200_000}),
    "a picture without end": lambda files: files.update(
        {"transcript.json": re.sub(rb'"size":\[\d+', b'"size":[1e999', files["transcript.json"], count=1)}
    ),
    "looks without end": edited(VERDICT, lambda row: [look.update(further=10**400) for look in row["looks"]]),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_bundle_that_somebody_made_from_another_does_not_hold(kind: str, case: Case, tmp_path: Path) -> None:
    files = unpacked(case[3])
    before = dict(files)
    FORGERIES[kind](files)
    assert files != before
    with pytest.raises(
        TracemarkError,
        match=r"does not hold|is wrong|holds another picture|is no transcript|transcript.json cannot be read|"
        r"not those that the release planned",
    ):
        verify_bundle(written_otherwise(files, tmp_path / "forged.zip"))


def rewritten(case: Case, change: Callable[[Any], None], tmp_path: Path) -> Path:
    """A bundle whose owner wrote another transcript, and a verdict about it."""
    files = unpacked(case[3])
    row = json.loads(files["transcript.json"])
    change(row)
    files["transcript.json"] = canonical_json(row)
    digest = hashlib.sha256(files["transcript.json"]).hexdigest()
    edited(VERDICT, lambda said: said.update(transcript_sha256=digest))(files)
    return written_otherwise(files, tmp_path / "rewritten.zip")


MISTOLD: dict[str, Callable[[Any], None]] = {
    "an answer as a refusal": lambda answer: answer.update(size=None),
    "an answer flagged as a refusal": lambda answer: answer.update(flags=["refused"]),
    "another size": lambda answer: answer.update(size=[5, 7]),
    "more pixels than fit": lambda answer: answer.update(size=[100_000, 100_000]),
    "a picture as one of one colour": lambda answer: answer.update(flags=["safety-blanked"]),
    "a refusal with a size": lambda answer: answer.update(sha256=""),
}


@pytest.mark.parametrize("kind", MISTOLD)
def test_what_is_told_of_an_answer_must_be_true_of_its_picture(kind: str, case: Case, tmp_path: Path) -> None:
    """Families leave refusals out: whoever could call an answer one would choose the answers that count."""

    def change(row: Any) -> None:
        MISTOLD[kind](row["answers"][0])

    with pytest.raises(TracemarkError, match=r"other flags|is no transcript"):
        verify_bundle(rewritten(case, change, tmp_path))


class Reticent(Worded):
    """Refuses one question in eight."""

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        found = super().answer(queries, sampler)
        return [Answer(None, ("refused",)) if q.seed % 8 == 0 else a for q, a in zip(queries, found, strict=True)]


def bundle_of(case: Case, suspect: Suspect, reference: Suspect, folder: Path) -> tuple[Verdict, Path]:
    """The verdict on another suspect of the same release, and its bundle."""
    bound, keyring, *_ = case
    verdict = detect(bound, suspect, keyring, folder / "cache", reference=reference)
    write_bundle(verdict_path := folder / "other.zip", verdict, keyring, "page")
    return verdict, verdict_path


def test_refusals_are_counted(case: Case, tmp_path: Path) -> None:
    verdict, path = bundle_of(case, Reticent(case[0], name="reticent"), Noisy("base"), tmp_path)
    refused = verdict.answer_flags["refused"]
    said = " ".join(verify_bundle(path).rests_on)
    assert refused and f"{refused} of {verdict.tally.planned} questions are told of as refused" in said
    assert "refused" not in " ".join(verify_bundle(case[3]).rests_on)


def test_a_reference_must_answer_everything(case: Case, tmp_path: Path) -> None:
    """Pairs that it leaves open do not count: whoever could choose them would choose the verdict."""
    verdict, path = bundle_of(case, Worded(case[0], name="other"), Reticent(case[0], name="shy"), tmp_path)
    assert verdict.outcome == "inconclusive" and "the reference refused" in verdict.reason
    assert "answers of the reference are refused" in " ".join(verify_bundle(path).rests_on)
    files = unpacked(path)
    edited(VERDICT, lambda said: said.update(verdict="evidence", threshold=1e-9 + said["threshold"]))(files)
    with pytest.raises(EvidenceError, match="it says evidence"):
        verify_bundle(written_otherwise(files, tmp_path / "forged.zip"))


def leave_out(row: Any) -> None:
    """One slot is asked less than the others, which share its questions."""
    row["slots"][0]["asked"].pop()
    row["slots"][0]["contrast"].pop()


def answer_twice(row: Any) -> None:
    """One slot counts another answer to a question than the rest."""
    row["questions"].append(row["questions"][0])
    row["answers"].append(row["answers"][1])
    row["slots"][0]["asked"][0] = len(row["questions"]) - 1


def water_down(row: Any) -> None:
    """Answers that serve nothing make refusals look rare."""
    row["questions"].append(row["questions"][0] | {"seed": 7})
    row["answers"].append(row["answers"][0])


def ask_otherwise(row: Any) -> None:
    """Other settings than were committed to, and no further look."""
    for transcript in (row, row["reference"]):
        transcript["plan"]["negative_prompt"] = "blurred"


def ask_more(row: Any) -> None:
    """More questions than were planned."""
    for transcript in (row, row["reference"]):
        transcript["plan"]["queries_per_slot"] = 10**6


CHOICES: dict[str, tuple[Callable[[Any], None], str]] = {
    "a question left out": (leave_out, "was not asked its"),
    "a question answered twice": (answer_twice, "several answers"),
    "answers beside": (water_down, "serve no slot"),
    "other settings": (ask_otherwise, "the committed plan was left"),
    "more questions": (ask_more, "were planned"),
    "a reference asked otherwise": (lambda row: row["reference"]["plan"].update(steps=1), "in another way"),
    "a reference for another release": (lambda row: row["reference"].update(release="0" * 16), "another release"),
    "a reference of another kind": (lambda row: row["reference"].update(kind="labels"), "of another kind"),
    "a reference asked less": (lambda row: leave_out(row["reference"]), "was not asked its"),
    "a reference asked something else": (
        lambda row: row["reference"]["questions"][0].update(prompt="anything"),
        "not those that the release planned",
    ),
    "a reference not asked": (lambda row: row["reference"].update(slots=[]), "was not asked its"),
}


@pytest.mark.parametrize("kind", CHOICES)
def test_nobody_chooses_which_answers_count(kind: str, case: Case, tmp_path: Path) -> None:
    change, why = CHOICES[kind]
    with pytest.raises(TracemarkError, match=why):
        verify_bundle(rewritten(case, change, tmp_path))


def test_the_reference_is_named_with_what_the_answers_say_without_it(case: Case) -> None:
    said = " ".join(verify_bundle(case[3]).rests_on)
    assert "“base”" in said and "without that E = " in said and "owner's own" not in said
    assert "The page inside is its owner's" in said


def test_answers_of_classifiers_are_refused(case: Case, tmp_path: Path) -> None:
    def classify(row: Any) -> None:
        row.update(kind="labels")
        row["reference"].update(kind="labels")

    with pytest.raises(EvidenceError, match="classifier"):
        verify_bundle(rewritten(case, classify, tmp_path))


def test_a_coin_has_one_spelling_in_every_key(case: Case) -> None:
    seed, value = b"s" * 32, "ab" * 48
    assert slot_key(seed, value, "") != slot_key(seed, "cd" * 48, "")
    for other in (value.upper(), value[:2].upper() + value[2:], f" {value}", "salt 17"):
        with pytest.raises(InputError):
            slot_key(seed, other, "")


def test_what_is_no_bundle_is_refused(tmp_path: Path, case: Case) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        verify_bundle(tmp_path / "none.zip")
    for name, content in (("../outside.json", b"{}"), ("a.exe", b"x"), ("/etc/x.json", b"{}")):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
            archive.writestr(name, content)
        with pytest.raises(InputError, match="which no bundle does"):
            verify_bundle(tmp_path / "bad.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("verdict.json", b"0" * 10**7)
    with pytest.raises(InputError, match="is compressed"):
        verify_bundle(tmp_path / "bomb.zip")
    newer = canonical_json({"tracemark_bundle": 99, "files": {}})
    with zipfile.ZipFile(tmp_path / "newer.zip", "w") as archive:
        archive.writestr(MANIFEST, newer)
    with pytest.raises(InputError, match="its format is 99"):
        verify_bundle(tmp_path / "newer.zip")
    with pytest.raises(InputError, match="another key signed"):
        verify_bundle(case[3], signer="00" * 32)
    unsigned = written_otherwise(unpacked(case[3]), tmp_path / "unsigned.zip")
    assert verify_bundle(unsigned).signer == ""
    with pytest.raises(InputError, match="is not signed by"):
        verify_bundle(unsigned, signer="00" * 32)


def test_an_innocent_suspect_has_a_bundle_too(case: Case, tmp_path: Path) -> None:
    bound, keyring, *_ = case
    verdict = detect(bound, Noisy("innocent"), keyring, tmp_path / "cache")
    write_bundle(tmp_path / "case.zip", verdict, keyring, "page")
    found = verify_bundle(tmp_path / "case.zip")
    assert found.outcome == "no evidence" and found.slots == len(bound.slots)
    with pytest.raises(InputError, match="nothing was asked"):
        write_bundle(tmp_path / "none.zip", replace(verdict, held=None), keyring, "page")


def test_only_the_slots_asked_are_opened(case: Case) -> None:
    bound = case[0]
    shown = json.loads(opening_of(bound.release, [0]))
    assert [slot["slot"] for slot in shown["slots"]] == [0]
    assert len(shown["question_leaves"]) == len(bound.slots)
