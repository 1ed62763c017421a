"""A commitment before a public coin: one commitment, one try."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from protect.embed import commit as committing
from protect.embed.commit import commit, options_of
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError, ReleaseError
from protect.formats import open_dataset
from protect.keys.coin import TIMESTAMP
from protect.keys.keyring import Keyring
from protect.release.plan import Options
from protect.release.record import Coin, Release
from tests.support.datasets import make_folder, recaption, varied_captions

QUICK = Options(rate=0.5, slots=2, decoys=99, alpha=0.05, alignment="twa")
COIN = Coin("some beacon", "12345678")
A, B = "0a" * 32, "0b" * 32


def _dataset(folder: Path) -> Path:
    return recaption(make_folder(folder, 60), varied_captions(60))


def test_commit_wait_embed(tmp_path: Path, keyring: Keyring) -> None:
    source, output = _dataset(tmp_path / "d"), tmp_path / "out"
    waiting = commit(source, output, QUICK, keyring, COIN, anyway=True)
    published = json.loads((tmp_path / "out.commitment.json").read_text())
    assert published["commitment"] == waiting.commitment and published["questions"] is None
    assert published["coin"] == {"source": "some beacon", "round": "12345678", "value": None}
    assert keyring.releases() == []
    options = options_of(keyring.waiting(waiting.id).plan)
    done = embed(source, output, options, keyring, commitment=waiting.id, coin="ab" * 32, anyway=True)
    assert done.release.commitment == waiting.commitment and done.release.secret == waiting.secret
    assert keyring.releases() == [done.release] and keyring.commitments() == ([], [])
    final = json.loads((tmp_path / "out.commitment.json").read_text())
    assert final == published | {"coin": published["coin"] | {"value": "ab" * 32}, "questions": final["questions"]}
    assert verify(done.bound, open_dataset(output)).findings == ()


def test_another_coin_gives_other_marks_triggers_and_questions_on_the_same_carriers(
    tmp_path: Path, keyring: Keyring
) -> None:
    source = _dataset(tmp_path / "d")
    waiting = commit(source, tmp_path / "out", QUICK, keyring, COIN, anyway=True)
    options = options_of(waiting.plan)
    planned = [
        embed(source, tmp_path / "out", options, keyring, commitment=waiting.id, coin=coin, dry_run=True)
        for coin in (A, B)
    ]
    a, b = (p.bound for p in planned)
    assert [s.planted for s in a.slots] != [s.planted for s in b.slots]
    assert [s.trigger for s in a.slots] != [s.trigger for s in b.slots]
    assert [s.questions.seeds for s in a.slots] != [s.questions.seeds for s in b.slots]
    carriers = [[[r.key for r in d.carriers] for d in p.selection.slots] for p in planned]
    assert carriers[0] == carriers[1]
    assert planned[0].release.commitment == planned[1].release.commitment


def test_without_a_coin_the_commitment_holds_all_questions(tmp_path: Path, keyring: Keyring) -> None:
    done = embed(_dataset(tmp_path / "d"), tmp_path / "out", QUICK, keyring, anyway=True)
    header = json.loads(done.release.header)
    assert header["questions"] == done.release.questions_digest == done.release.public()["questions"]
    assert header["coin"] is None
    changed = replace(done.release, header=done.release.header.replace(b'"queries":32', b'"queries":31'))
    assert changed.commitment != done.release.commitment


def test_a_commitment_is_bound_to_its_dataset_and_its_plan(tmp_path: Path, keyring: Keyring) -> None:
    source = _dataset(tmp_path / "d")
    waiting = commit(source, tmp_path / "out", QUICK, keyring, COIN, anyway=True)
    options = options_of(waiting.plan)
    with pytest.raises(InputError, match="with other options"):
        embed(source, tmp_path / "out", replace(options, alpha=0.01), keyring, commitment=waiting.id, coin=A)
    recaption(source, ["other words", *varied_captions(60)[1:]])
    with pytest.raises(InputError, match="not the one that release"):
        embed(source, tmp_path / "out", options, keyring, commitment=waiting.id, coin=A)


def test_coins_and_commitments_that_do_not_fit(tmp_path: Path, keyring: Keyring) -> None:
    source = _dataset(tmp_path / "d")
    waiting = commit(source, tmp_path / "out", QUICK, keyring, COIN, anyway=True)
    options = options_of(waiting.plan)
    for given, error, message in (
        ({"commitment": waiting.id}, InputError, "waits for the coin some beacon, round 12345678"),
        ({"commitment": waiting.id, "coin": "  "}, InputError, "waits for the coin"),
        ({"coin": A}, InputError, "--coin without --commitment"),
        ({"commitment": "nothing", "coin": A}, ReleaseError, "no commitment called"),
    ):
        with pytest.raises(error, match=message) as refusal:
            embed(source, tmp_path / "out", options, keyring, **given)  # type: ignore[arg-type]
        assert str(refusal.value).count("\n") == 1
    with pytest.raises(InputError, match="exists already"):
        commit(source, tmp_path / "out", QUICK, keyring, COIN, anyway=True)


def test_pictures_cannot_be_swapped_once_the_coin_is_known(tmp_path: Path, keyring: Keyring) -> None:
    """Else carriers, and with them questions, could be chosen when the marks are known."""
    source = _dataset(tmp_path / "d")
    waiting = commit(source, tmp_path / "out", QUICK, keyring, COIN, anyway=True)
    assert waiting.plan.pictures is not None
    picture = source / "picture 007.png"
    picture.write_bytes((source / "picture 008.png").read_bytes())
    with pytest.raises(InputError, match="not the one that release"):
        embed(source, tmp_path / "out", options_of(waiting.plan), keyring, commitment=waiting.id, coin=A, anyway=True)


def test_a_commitment_takes_one_coin_and_makes_one_copy(tmp_path: Path, keyring: Keyring) -> None:
    source = _dataset(tmp_path / "d")
    waiting = commit(source, tmp_path / "out", QUICK, keyring, COIN, anyway=True)
    options = options_of(waiting.plan)

    class Killed(BaseException):
        pass

    def die(stage: str, done: int, total: int) -> None:
        if stage == "verifying":
            raise Killed

    with pytest.raises(Killed):
        embed(source, tmp_path / "out", options, keyring, commitment=waiting.id, coin=A, anyway=True, progress=die)
    for output in ("out", "elsewhere"):
        with pytest.raises(InputError, match=f"was used with the coin {A} already"):
            embed(source, tmp_path / output, options, keyring, commitment=waiting.id, coin=B, anyway=True)
    done = embed(source, tmp_path / "out", options, keyring, commitment=waiting.id, coin=A.upper(), anyway=True)
    assert done.release.coin == A and keyring.commitments() == ([], [])
    with pytest.raises(InputError, match="has a copy already"):
        embed(source, tmp_path / "again", options, keyring, commitment=waiting.id, coin=A, anyway=True)


def test_an_embedding_that_fails_while_it_is_published_resumes(
    tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protect.embed import write

    source, real = _dataset(tmp_path / "d"), write.write_atomic
    waiting = commit(source, tmp_path / "out", QUICK, keyring, COIN, anyway=True)
    given = {"commitment": waiting.id, "coin": A, "anyway": True}

    def full(*_: object, **__: object) -> None:
        raise InputError("cannot write: no space", "Free space.")

    monkeypatch.setattr(write, "write_atomic", full)
    with pytest.raises(InputError, match="no space"):
        embed(source, tmp_path / "out", options_of(waiting.plan), keyring, **given)  # type: ignore[arg-type]
    monkeypatch.setattr(write, "write_atomic", real)
    done = embed(source, tmp_path / "out", options_of(waiting.plan), keyring, **given)  # type: ignore[arg-type]
    assert done.output.is_dir() and keyring.releases() == [done.release] and keyring.commitments() == ([], [])


def test_what_could_hardly_be_found_is_not_committed_to(tmp_path: Path, keyring: Keyring) -> None:
    few = replace(QUICK, rate=0.05, slots=1, decoys=9_999, alpha=1e-3)
    with pytest.raises(InputError, match="could hardly be found"):
        commit(_dataset(tmp_path / "d"), tmp_path / "out", few, keyring, COIN)
    assert keyring.commitments() == ([], []) and not (tmp_path / "out.commitment.json").exists()


class _Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


@pytest.fixture
def stopped(tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Callable[[Coin], Release]:
    """Commits to `d`, and is killed before the file is written; returns what the keyring holds."""

    def commit_and_die(coin: Coin) -> Release:
        def die(*_: object) -> None:
            raise _Killed

        with monkeypatch.context() as patch, pytest.raises(_Killed):
            patch.setattr(committing, "write_atomic", die)
            commit(_dataset(tmp_path / "d"), tmp_path / "out", QUICK, keyring, coin, anyway=True)
        return keyring.commitments()[0][0]

    return commit_and_die


def test_a_commitment_that_was_stopped_is_finished_by_the_same_call(
    tmp_path: Path, keyring: Keyring, stopped: Callable[[Coin], Release]
) -> None:
    held, file = stopped(COIN), tmp_path / "out.commitment.json"
    for _ in range(2):  # the second time, the file was lost
        assert commit(tmp_path / "d", tmp_path / "out", QUICK, keyring, COIN, anyway=True) == held
        assert json.loads(file.read_text()) == held.public() and keyring.waiting("out") == held
        file.unlink()


def test_other_options_another_coin_and_another_name_are_another_commitment(
    tmp_path: Path, keyring: Keyring, stopped: Callable[[Coin], Release]
) -> None:
    held = stopped(COIN)
    others = [
        commit(tmp_path / "d", tmp_path / name, options, keyring, coin, name=called, anyway=True)
        for name, options, coin, called in (
            ("a", replace(QUICK, steps=5), COIN, "out"),
            ("b", QUICK, Coin("some beacon", "2"), "out"),
            ("c", QUICK, COIN, "c"),
        )
    ]
    assert len({held.id, *(other.id for other in others)}) == 4
    third = Coin("some beacon", "3")  # the round of a beacon that is named alone follows from the time
    with pytest.raises(InputError, match="2 commitments that wait") as refusal:
        commit(tmp_path / "d", tmp_path / "out", QUICK, keyring, third, any_round=True, anyway=True)
    assert held.id in refusal.value.what and others[1].id in refusal.value.what
    keyring.retire(held)
    again = commit(tmp_path / "d", tmp_path / "out", QUICK, keyring, third, any_round=True, anyway=True)
    assert again.id == others[1].id


def test_a_commitment_that_can_have_no_coin_any_more_is_to_be_retired(
    tmp_path: Path, keyring: Keyring, stopped: Callable[[Coin], Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    coin = Coin(TIMESTAMP, "00" * 32)
    held = stopped(coin)

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=1)

    with monkeypatch.context() as patch:
        patch.setattr(committing, "datetime", Later)
        with pytest.raises(InputError, match="it can have no coin") as refusal:
            commit(tmp_path / "d", tmp_path / "out", QUICK, keyring, coin, anyway=True)
    assert refusal.value.advice.endswith(f"protect retire {held.id}")
    keyring.retire(keyring.either("out"))
    assert keyring.commitments() == ([], [])
    for look in (keyring.either, keyring.waiting, keyring.load):
        with pytest.raises(ReleaseError, match=r"is retired: no copy.*\n.*/commitments/'$"):
            look(held.id)
    assert commit(tmp_path / "d", tmp_path / "out", QUICK, keyring, coin, anyway=True).id != held.id


def test_a_release_has_the_name_of_its_commitment(tmp_path: Path, keyring: Keyring) -> None:
    waiting = commit(_dataset(tmp_path / "d"), tmp_path / "out", QUICK, keyring, COIN, name="spring", anyway=True)
    options = options_of(waiting.plan)
    for name, expected in ((None, "spring"), ("summer", "summer")):
        done = embed(
            tmp_path / "d", tmp_path / "out", options, keyring, name=name, commitment="spring", coin=A, dry_run=True
        )
        assert done.release.name == expected
