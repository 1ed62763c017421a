"""From commit to a coin that is checked: dated, drawn, embedded, judged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from protect.embed import dating
from protect.embed.commit import commit, options_of
from protect.embed.dating import Authority, check_clock, date_commitment
from protect.embed.places import commitment_file
from protect.embed.published import check_published, read_published
from protect.embed.write import embed
from protect.errors import InputError
from protect.keys.beacon import BEACONS
from protect.keys.coin import CHECKED, NO_PUBLIC_COIN, NOT_CHECKED, ON_REQUEST, WINDOW, parse_coin
from protect.keys.history import commitments_before
from protect.keys.keyring import Keyring
from protect.keys.signature import sign
from protect.keys.stamps import OF_QUESTIONS, coin_flags, coin_state, keep, kept_stamps, stamp_files
from protect.keys.timestamp import Stamp
from protect.release.plan import Options
from protect.release.record import Coin, Release
from tests.support import authorities
from tests.support.authorities import serve
from tests.support.beacons import BEACON, round_value
from tests.support.datasets import make_folder, recaption, varied_captions

QUICK = Options(rate=0.5, slots=2, decoys=99, alpha=0.05, alignment="twa", family="template")


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return recaption(make_folder(tmp_path / "d", 60), varied_captions(60))


def _commit(source: Path, keyring: Keyring, coin: Coin | None, name: str = "out") -> tuple[Release, Path]:
    output = source.parent / name
    return commit(source, output, QUICK, keyring, coin, anyway=True), commitment_file(output)  # type: ignore[arg-type]


def _embed(source: Path, keyring: Keyring, waiting: Release, coin: str | None = None) -> Release:
    options = options_of(waiting.plan)
    output = source.parent / "out"
    return embed(source, output, options, keyring, commitment=waiting.id, coin=coin, anyway=True).release


def test_the_authority_draws_the_coin_and_everybody_can_check_it(
    source: Path, keyring: Keyring, authority: authorities.Authority
) -> None:
    named = Authority.of("http://127.0.0.1:1/", authority.root).as_coin()
    waiting, place = _commit(source, keyring, named)
    assert coin_flags(keyring, waiting) == (NO_PUBLIC_COIN,)
    with pytest.raises(InputError, match="waits for the coin timestamp") as refusal:
        _embed(source, keyring, waiting)
    assert "protect timestamp" in refusal.value.advice
    with serve(authority) as served:
        asked = Authority.of(served.address, authority.root)
        dated = date_commitment(read_published(place), asked, keyring)
        again = date_commitment(read_published(place), asked, keyring)
    assert dated.coin and not again.coin, "the first timestamp gives the coin, and no later one another"
    assert [dated.reply.name, again.reply.name] == ["out.commitment.tsr", "out.commitment.2.tsr"]
    assert json.loads(place.read_text())["coin"]["value"] == dated.coin == dated.stamp.draw
    with pytest.raises(InputError, match="comes with its timestamp"):
        _embed(source, keyring, waiting, "ab" * 32)
    done = _embed(source, keyring, waiting)
    assert done.coin == dated.coin and done.commitment == waiting.commitment
    assert coin_flags(keyring, done) == (CHECKED, ON_REQUEST)
    found = check_published(read_published(place), asked.roots())
    assert found.coin.flags == (CHECKED, ON_REQUEST) and len(found.stamps) == 2 and found.unchecked == 0
    assert check_published(read_published(place), ()).coin.flags == (NOT_CHECKED,)


def test_questions_that_follow_a_coin_are_dated_with_it(
    source: Path, keyring: Keyring, authority: authorities.Authority
) -> None:
    waiting, place = _commit(source, keyring, Authority.of("http://127.0.0.1:1/", authority.root).as_coin())
    with serve(authority) as served:
        asked = Authority.of(served.address, authority.root)
        date_commitment(read_published(place), asked, keyring)
        done = _embed(source, keyring, waiting)
        published = read_published(place)
        assert published.questions == done.questions_digest
        before = check_published(published, asked.roots())
        assert "nothing that was checked dates its questions" in "\n".join(before.in_words())
        late = date_commitment(published, asked, keyring)
    assert late.reply.name == "out.commitment.questions.tsr" and not late.coin
    found = check_published(read_published(place), asked.roots())
    assert found.question_stamps == (late.stamp,) and len(found.stamps) == 1 and found.unchecked == 0
    assert any(line.startswith("  its questions existed on ") for line in found.in_words())
    assert kept_stamps(keyring, done, OF_QUESTIONS) == ([late.stamp], []) and len(kept_stamps(keyring, done)[0]) == 1
    assert {"0001.tsr", "questions_0001.tsr", "questions_0001.pem"} <= stamp_files(keyring, done.id).keys()
    row = json.loads(place.read_text())
    place.write_text(json.dumps(row | {"questions": "ab" * 32}))
    with pytest.raises(InputError, match="timestamp"):
        check_published(read_published(place), asked.roots())


def test_a_beacon_with_a_timestamp_is_checked_and_without_one_it_is_not(
    source: Path, keyring: Keyring, authority: authorities.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BEACONS, BEACON.name, BEACON)
    coin = parse_coin(BEACON.name)
    number = int(coin.round)
    waiting, place = _commit(source, keyring, coin)
    with pytest.raises(InputError, match="is not the value of test beacon"):
        _embed(source, keyring, waiting, round_value(number + 1))
    assert keyring.waiting(waiting.id).coin == "", "a wrong value spends nothing"
    done = _embed(source, keyring, waiting, round_value(number))
    assert coin_flags(keyring, done) == (NOT_CHECKED,)
    with serve(authority) as served:
        asked = Authority.of(served.address, authority.root)
        with pytest.raises(InputError, match=r"the authority's clock says .*, and its coin came out on"):
            date_commitment(read_published(place), asked, keyring)
    assert kept_stamps(keyring, done) == ([], []) and not place.with_name("out.commitment.tsr").exists()


def test_a_timestamp_before_the_round_makes_a_beacon_count(
    source: Path, keyring: Keyring, authority: authorities.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BEACONS, BEACON.name, BEACON)
    coin = parse_coin(BEACON.name)
    waiting, place = _commit(source, keyring, coin)
    with serve(authority) as served:
        date_commitment(read_published(place), Authority.of(served.address, authority.root), keyring)
    done = _embed(source, keyring, waiting, round_value(int(coin.round)))
    assert coin_flags(keyring, done) == (CHECKED,)
    assert "The commitment is older" in coin_state(keyring, done).sentence


def test_a_reply_that_was_kept_before_the_record_was_gives_the_coin(
    source: Path, keyring: Keyring, authority: authorities.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed in between must not be a second try."""
    waiting, place = _commit(source, keyring, Authority.of("http://127.0.0.1:1/", authority.root).as_coin())

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with serve(authority) as served:
        asked = Authority.of(served.address, authority.root)
        with monkeypatch.context() as patched:
            patched.setattr(dating, "write_atomic", die)
            with pytest.raises(Killed):
                date_commitment(read_published(place), asked, keyring)
        first = kept_stamps(keyring, waiting)[0][0].draw
        assert first and date_commitment(read_published(place), asked, keyring).coin == first


def test_an_authority_that_was_not_named_draws_no_coin(
    source: Path,
    keyring: Keyring,
    authority: authorities.Authority,
    other_authority: authorities.Authority,
) -> None:
    waiting, place = _commit(source, keyring, Authority.of("http://127.0.0.1:1/", authority.root).as_coin())
    with serve(other_authority) as served:
        with pytest.raises(InputError, match="names another authority"):
            date_commitment(read_published(place), Authority.of(served.address, other_authority.root), keyring)
        with pytest.raises(InputError, match="no authority that is trusted"):
            date_commitment(read_published(place), Authority.of(served.address, authority.root), keyring)
    assert kept_stamps(keyring, waiting) == ([], []) and keyring.waiting(waiting.id).coin == ""
    assert not list(place.parent.glob("*.tsr")), "nothing is half-written"


def test_a_coin_that_is_drawn_too_late_is_refused(
    source: Path, keyring: Keyring, authority: authorities.Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, place = _commit(source, keyring, Authority.of("http://127.0.0.1:1/", authority.root).as_coin())
    published = read_published(place)
    late = replace(published, committed=replace(published.committed, created=datetime.now(UTC) - timedelta(hours=1)))
    with serve(authority) as served, pytest.raises(InputError, match="away from the commitment's date"):
        date_commitment(late, Authority.of(served.address, authority.root), keyring)
    assert keyring.waiting(waiting.id).coin == ""


def test_clocks_that_are_behind() -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    committed = read_published_like(now)
    stamp = Stamp(now, "CN=x", "ab" * 32, 1, "1.2", None)
    check_clock(stamp, committed, [replace(stamp, time=now - timedelta(days=1))])
    check_clock(replace(stamp, time=now - WINDOW), committed, [])
    for time, earlier, message in (
        (now - timedelta(hours=1), [], "the commitment was made on 2026-11-28"),
        (
            now + timedelta(hours=1),
            [replace(stamp, time=now + timedelta(days=1))],
            "was timestamped before on 2026-11-29",
        ),
    ):
        with pytest.raises(InputError, match=message):
            check_clock(replace(stamp, time=time), committed, earlier)


def read_published_like(now: datetime):  # type: ignore[no-untyped-def]
    from protect.keys.coin import Committed

    return Committed("00" * 32, now, None, "")


def test_somebody_elses_commitment_can_be_dated_and_nothing_is_kept(
    source: Path, keyring: Keyring, other_authority: authorities.Authority, tmp_path: Path
) -> None:
    _, place = _commit(source, keyring, Coin("a lottery", "1"))
    stranger = Keyring(tmp_path / "stranger")
    with serve(other_authority) as served:
        asked = Authority.of(served.address, other_authority.root)
        dated = date_commitment(read_published(place), asked, stranger)
        with pytest.raises(InputError, match=r"wanted 1\.2\.3\.4\.9"):
            date_commitment(read_published(place), replace(asked, policy="1.2.3.4.9"), stranger)
    assert dated.reply.exists() and not (stranger.home / "timestamps").exists()


def test_a_timestamp_of_an_authority_that_the_checker_does_not_know_is_left_and_counted(
    source: Path, keyring: Keyring, authority: authorities.Authority, other_authority: authorities.Authority
) -> None:
    _, place = _commit(source, keyring, Coin("a lottery", "1"))
    for one in (authority, other_authority):
        with serve(one) as served:
            date_commitment(read_published(place), Authority.of(served.address, one.root), keyring)
    for trusted, count in (((authority,), 1), ((other_authority,), 1), ((authority, other_authority), 2), ((), 0)):
        roots = [root for one in trusted for root in Authority.of("http://x/", one.root).roots()]
        found = check_published(read_published(place), roots)
        assert (len(found.stamps), found.unchecked) == (count, 2 - count)
        assert ("not checked: give" in "\n".join(found.in_words())) == (count < 2)


def test_damaged_timestamps_are_told_and_prove_nothing(
    source: Path, keyring: Keyring, authority: authorities.Authority
) -> None:
    waiting, place = _commit(source, keyring, Authority.of("http://127.0.0.1:1/", authority.root).as_coin())
    with serve(authority) as served:
        date_commitment(read_published(place), Authority.of(served.address, authority.root), keyring)
    known = keyring.waiting(waiting.id)
    (kept,) = (keyring.home / "timestamps").glob("*.tsr")
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_bytes(kept.read_bytes()[:-40])
    state = coin_state(keyring, known)
    assert state.flags == (NOT_CHECKED,) and kept.name in state.sentence
    reply = place.with_name("out.commitment.tsr")
    check_published(read_published(place), Authority.of("http://x/", authority.root).roots())
    reply.write_bytes(b"rubbish")
    with pytest.raises(InputError, match="no reply of a timestamp authority"):
        check_published(read_published(place), Authority.of("http://x/", authority.root).roots())


def test_kept_timestamps_are_never_written_over(keyring: Keyring) -> None:
    for number in range(3):
        keep(keyring, "ab", b"%d" % number, b"root")
    (keyring.home / "timestamps" / "ab-0001.tsr").unlink()
    keep(keyring, "ab", b"3", b"root")
    kept = sorted((keyring.home / "timestamps").glob("*.tsr"))
    assert [path.read_bytes() for path in kept] == [b"1", b"2", b"3"] and kept[0].name == "ab-0002.tsr"


def test_a_signature_beside_a_commitment(source: Path, keyring: Keyring, tmp_path: Path) -> None:
    _, place = _commit(source, keyring, Coin("a lottery", "1"))
    published = read_published(place)
    assert check_published(published, ()).signer is None
    mine = sign(keyring, "commitment", published.data)
    published.signature_file.write_bytes(mine.to_json())
    assert check_published(published, (), mine.public_key).signer == mine.public_key
    other = sign(Keyring(tmp_path / "other"), "commitment", published.data)
    with pytest.raises(InputError, match="is signed by"):
        check_published(published, (), other.public_key)
    published.signature_file.write_bytes(sign(keyring, "commitment", b"other").to_json())
    with pytest.raises(InputError, match="signature is not one of key"):
        check_published(published, ())


@pytest.mark.parametrize(
    "change",
    [
        {"tracemark": 99},
        {"commitment": "zz"},
        {"commitment": "ab" * 31},
        {"release": "0" * 16},
        {"created": "yesterday"},
        {"created": "2026-11-28T00:00:00"},
        {"coin": {"source": "x"}},
        {"coin": 5},
        None,
    ],
)
def test_files_that_are_no_commitment(source: Path, keyring: Keyring, change: dict[str, object] | None) -> None:
    _, place = _commit(source, keyring, Coin("a lottery", "1"))
    row = json.loads(place.read_text())
    place.write_text("[1]" if change is None else json.dumps(row | change))
    with pytest.raises(InputError) as refusal:
        read_published(place)
    assert str(refusal.value).count("\n") == 1
    with pytest.raises(InputError, match="cannot read"):
        read_published(place.with_name("none"))


def test_how_many_commitments_came_before(source: Path, keyring: Keyring) -> None:
    made = [_commit(source, keyring, Coin("a lottery", str(i)), f"out{i}")[0] for i in range(4)]
    by_date = sorted(made, key=lambda release: (release.created, release.commitment))
    assert [commitments_before(keyring, release) for release in by_date] == [0, 1, 2, 3]
    (keyring.home / "commitments" / f"{by_date[3].id}.json").write_text("damaged")
    assert commitments_before(keyring, by_date[0]) == 1, "what cannot be read counts as earlier"
    assert commitments_before(Keyring(source.parent / "none"), by_date[0]) == 0
