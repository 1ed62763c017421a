"""Records: committed bytes are kept as they are; damage is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from protect.errors import ReleaseError
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.record import Carrier, Coin, Part, Plan, Questions, Release, make_header
from protect.release.stored import from_json, to_json

PLAN = Plan(
    (Part("template", {"psnr": 30.0}, 3, "twa", {}, 0.02, 2, 2),), "0" * 64, 100, None, ("alt",), 999, 1e-3, 20, 3.0
)
QUESTIONS = (
    Questions("zorkev", ("zorkev a kite", "zorkev 风筝"), ("a kite", "风筝"), (1, 2), taught=3),
    Questions("blimast", ("a boat", "a sea"), ("the boat", "the sea"), (3, 4), ((1, -1), (0, 1)), 1, 9),
)
CARRIERS = tuple(
    Carrier(f"{slot}.png", (slot,), (1 - slot,), "ab" * 32, {"text": "zorkev a kite"}, 30.5, 0.9) for slot in (0, 1)
)


def complete(seed: int = 0, name: str = "kites", created: str = "2026-11-28T00:00:00+00:00") -> Release:
    header = make_header(PLAN, created=created, rehearsal=False, coin=None)
    release = Release(name, secret_from_seed(seed, "test"), header).with_questions(QUESTIONS)
    return replace(release, carriers=CARRIERS)


def test_a_record_reads_back_as_it_was() -> None:
    release = complete()
    again = from_json(to_json(release), Path("r.json"))
    assert again == release and again.plan == PLAN and again.id == release.commitment[:16]
    assert [again.slot_questions(k) for k in (0, 1)] == list(QUESTIONS)


def test_fields_that_this_program_does_not_know_survive_and_stay_committed_to() -> None:
    row = json.loads(make_header(PLAN, created="2026-11-28T00:00:00+00:00", rehearsal=False, coin=None))
    row["plan"]["looks"] = "later invention"
    row["witness"] = [1, 2]
    header = json.dumps(row, indent=1).encode()
    release = replace(complete(), header=header)
    again = from_json(to_json(release), Path("r.json"))
    assert again.header == header and again.commitment == release.commitment and again.plan == PLAN
    assert replace(release, header=header.replace(b"later", b"other")).commitment != release.commitment


def test_what_is_published_tells_neither_secret_nor_plan_nor_questions() -> None:
    release = complete()
    text = json.dumps(release.public())
    assert release.commitment in text
    for hidden in (release.secret.hex(), "template", "zorkev", "a kite", "0.png"):
        assert hidden not in text


def test_the_public_digest_fixes_every_question() -> None:
    release = complete()
    other = release.with_questions((QUESTIONS[0], replace(QUESTIONS[1], seeds=(3, 5))))
    assert release.questions_digest != other.questions_digest
    assert release.commitment == other.commitment


def test_a_named_coin_is_public_before_and_after() -> None:
    header = make_header(PLAN, created="2026-11-28T00:00:00+00:00", rehearsal=False, coin=Coin("beacon", "9"))
    waiting = Release("kites", secret_from_seed(0, "test"), header)
    assert waiting.public()["coin"] == {"source": "beacon", "round": "9", "value": None}
    assert waiting.public()["questions"] is None and not waiting.complete
    assert replace(waiting, coin="ff").public()["coin"]["value"] == "ff"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "format 1"),
        ({"secret": "zz"}, "damaged"),
        ({"secret": "00" * 32}, "does not match its commitment"),
        ({"id": "0" * 16}, "does not match its commitment"),
        ({"header": "{}"}, "damaged"),
        ({"questions": ["{}", "{}"]}, "damaged"),
        ({"questions": ['{"trigger":"a","prompts":[],"seeds":[]}']}, "questions of 1 slots"),
        ({"carriers": [{"key": "a"}]}, "damaged"),
    ],
)
def test_damage_is_noticed(change: dict[str, object], message: str) -> None:
    row = json.loads(to_json(complete())) | change
    with pytest.raises(ReleaseError, match=message):
        from_json(json.dumps(row).encode(), Path("r.json"))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(ReleaseError, match="damaged"):
        from_json(data, Path("r.json"))


def test_the_keyring_keeps_records_secret_and_finds_them_by_id_and_name(tmp_path: Path) -> None:
    keyring, release = Keyring(tmp_path / "home"), complete()
    path = keyring.save(release)
    assert path.stat().st_mode & 0o777 == 0o600 and keyring.home.stat().st_mode & 0o077 == 0
    assert keyring.load(release.id[:6]) == keyring.load("kites") == release
    for wanted in ("boats", ""):
        with pytest.raises(ReleaseError, match=f"no release called '{wanted}'"):
            keyring.load(wanted)
    keyring.save(complete(seed=1))
    with pytest.raises(ReleaseError, match="2 release called"):
        keyring.load("kites")


def test_a_record_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    keyring.save(complete()).chmod(0o640)
    with pytest.raises(ReleaseError, match="can be read by others"):
        keyring.releases()


def test_commitments_wait_apart_until_their_copy_is_written(tmp_path: Path) -> None:
    keyring, done = Keyring(tmp_path / "home"), complete()
    waiting = replace(done, questions=(), carriers=())
    keyring.save(waiting)
    assert keyring.releases() == [] and keyring.waiting("kites") == waiting
    keyring.save(done)
    assert keyring.has_copy(waiting.id) and keyring.waiting("kites") == waiting, "until the copy has its name"
    keyring.settle(done)
    assert keyring.releases() == [done] and keyring.commitments() == ([], [])


def test_one_commitment_is_one_release(tmp_path: Path) -> None:
    keyring, done = Keyring(tmp_path / "home"), complete()
    keyring.save(done)
    keyring.save(done)
    with pytest.raises(ReleaseError, match="has a copy already"):
        keyring.save(replace(done, carriers=done.carriers[:1]))
    assert keyring.releases() == [done]


@pytest.mark.parametrize("field", ["id", "questions_digest", "coin", "name", "carriers"])
def test_a_record_that_lacks_a_field_is_damaged_and_hides_no_other(tmp_path: Path, field: str) -> None:
    keyring, other = Keyring(tmp_path / "home"), complete(seed=1, name="boats")
    path = keyring.save(complete())
    row = json.loads(path.read_bytes())
    del row[field]
    path.write_text(json.dumps(row))
    keyring.save(other)
    held, problems = keyring.survey()
    assert held == [other] and "damaged" in problems[0].what


def test_one_damaged_record_hides_no_other(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    keyring.save(complete())
    (keyring.folder("releases") / "0123456789abcdef.json").write_bytes(b"{")
    (keyring.home / "releases" / "0123456789abcdef.json").chmod(0o600)
    held, problems = keyring.survey()
    assert [r.name for r in held] == ["kites"] and len(problems) == 1
    with pytest.raises(ReleaseError, match="damaged"):
        keyring.releases()


def test_a_retired_release_is_tested_no_more(tmp_path: Path) -> None:
    keyring, release = Keyring(tmp_path / "home"), complete()
    keyring.save(release)
    assert keyring.retire(release).exists() and keyring.releases() == []


def test_a_keyring_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("x")
    with pytest.raises(ReleaseError, match="not a folder"):
        Keyring(tmp_path / "home").survey()
    with pytest.raises(ReleaseError, match="TRACEMARK_HOME"):
        Keyring(tmp_path / "home").folder("releases")
