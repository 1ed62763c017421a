"""Commands on commitments, as an owner and as a stranger type them."""

from __future__ import annotations

import json
import re
import shlex
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cli import protect_main
from protect.embed import commit_commands
from protect.keys.beacon import BEACONS
from tests.support import authorities
from tests.support.authorities import serve
from tests.support.beacons import BEACON, round_value
from tests.support.datasets import make_folder, recaption, varied_captions

QUICK = ("--family", "template", "--rate", "20%", "--decoys", "99", "--alpha", "0.05", "--anyway")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    recaption(make_folder(tmp_path / "d", 60), varied_captions(60))

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["protect", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            protect_main()
        out = capsys.readouterr()
        return int(stop.value.code or 0), out.out, out.err

    return run


class _Words(HTMLParser):
    """The text of a page, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.loads = list[str](), list[str]()

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]


def test_one_walk_from_commit_to_a_coin_that_strangers_check(  # type: ignore[no-untyped-def]
    call, tmp_path: Path, authority: authorities.Authority
) -> None:
    with serve(authority) as served:
        given = ("--timestamp", served.address, "--authority-certificate", authority.root)
        code, out, err = call(
            "commit", "d", *QUICK, "--coin-from", "timestamp", *given, "--sign", "--publish", "--json"
        )
    assert code == 0, err
    made = json.loads(out)
    names = {path.name.removeprefix("d-protected.commitment") for path in tmp_path.glob("d-protected.*")}
    assert names == {".json", ".tsr", ".sig", ".txt", ".html"}
    assert made["timestamp"]["coin"] == made["coin"]["value"] and len(made["to_publish"]) == 2
    code, out, err = call("embed", "d", "--commitment", made["release"], "--anyway", "--json")
    assert code == 0 and json.loads(out)["commitment"] == made["commitment"], err
    place = "d-protected.commitment.json"
    code, out, _ = call("signing-key", "-o", "owner.pem")
    trusting = ("--authority-certificate", authority.root, "--signer", "owner.pem")
    code, out, err = call("verify-commitment", place, *trusting)
    assert code == 0, err
    assert made["commitment"] in out and "coin-checked, coin-on-request" in out and "existed on" in out
    code, out, _ = call("verify-commitment", place, "--signer", made["signer"], "--json")
    assert json.loads(out)["timestamps_not_checked"] == 1 and json.loads(out)["flags"] == ["coin-not-checked"]
    code, _, err = call("verify-commitment", place, "--signer", "00" * 32)
    assert code == 2 and "is signed by" in err


def test_a_beacon_walk(call, authority: authorities.Authority, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setitem(BEACONS, BEACON.name, BEACON)
    code, out, err = call("commit", "d", *QUICK, "--coin-from", BEACON.name)
    assert code == 0, err
    number, release = re.search(r"round (\d+)", out)[1], re.search(r"--commitment (\w+)", out)[1]  # type: ignore[index]
    assert f"{BEACON.address}{number}" in out and "--publish for a page" in out
    code, out, _ = call("verify-commitment", "d-protected.commitment.json")
    assert code == 0 and f"still to come: {BEACON.name}, round {number}, which comes out on 20" in out
    assert "There is no public coin" not in out
    with serve(authority) as served:
        given = ("--authority", served.address, "--authority-certificate", authority.root)
        code, out, err = call("timestamp", "d-protected.commitment.json", *given)
    assert code == 0 and "publish it with the commitment" in out, err
    code, _, err = call("embed", "d", "--commitment", release)
    assert code == 2 and f"{BEACON.address}{number}" in err
    code, _, err = call("embed", "d", "--commitment", release, "--coin", round_value(int(number)), "--anyway")
    assert code == 0, err
    code, out, _ = call("verify-commitment", "d-protected.commitment.json", "--authority-certificate", authority.root)
    assert code == 0 and "coin-checked:" in out


def test_the_page_says_what_where_why_and_what_to_keep(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, err = call("commit", "d", *QUICK, "--coin-from", "drand", "--publish", "--sign")
    assert code == 0 and "d-protected.commitment.html says where" in out, err
    page, text = (tmp_path / f"d-protected.commitment{ending}" for ending in (".html", ".txt"))
    parsed = _Words()
    parsed.feed(page.read_text())
    words = " ".join(" ".join(parsed.words).split())
    published = json.loads((tmp_path / "d-protected.commitment.json").read_text())
    for wanted in (
        published["commitment"],
        "Why publish it before the copy",
        "A timestamp authority",
        "Your own website",
        "A public repository",
        "A registry or a journal",
        "E-mail to a notary",
        "What to keep secret",
        "The whole folder of your keyring",
        "openssl ts -verify",
        f"round {published['coin']['round']}",
        "before 20",
    ):
        assert wanted in words, wanted
    assert [one for one in parsed.loads if not one.startswith("data:")] == [], "the page stands alone"
    assert published["commitment"] in text.read_text() and "Ed25519" in text.read_text()
    secret = json.loads(next((tmp_path / "home" / "commitments").glob("*.json")).read_text())["secret"]
    for path in tmp_path.glob("d-protected.*"):
        assert secret.encode() not in path.read_bytes() and str(tmp_path).encode() not in path.read_bytes(), path.name


def test_a_release_without_a_coin_is_told_so(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, _, err = call("embed", "d", *QUICK)
    assert code == 0, err
    code, out, _ = call("publish", "d-protected.commitment.json")
    assert code == 0 and "names no public coin" in (tmp_path / "d-protected.commitment.html").read_text()
    code, out, _ = call("verify-commitment", "d-protected.commitment.json")
    assert (
        code == 0
        and "no-public-coin" in out
        and "nothing that was checked proves its date" in out
        and "not signed" in out
    )
    code, out, _ = call("sign", "d-protected.commitment.json")
    assert code == 0 and "signed with the key" in out
    code, out, _ = call("signing-key")
    assert code == 0 and "BEGIN PUBLIC KEY" in out and "PRIVATE" not in out


def test_an_authority_that_fails_leaves_a_commitment_and_says_how_to_go_on(
    call, tmp_path: Path, authority: authorities.Authority
) -> None:  # type: ignore[no-untyped-def]
    with serve(None, body=b"<html>", kind="text/html") as served:
        given = ("--timestamp", served.address, "--authority-certificate", authority.root)
        code, _, err = call("commit", "d", *QUICK, "--coin-from", "drand", *given)
    assert code == 2 and "it got no timestamp" in err and "Repeat: protect timestamp" in err
    assert len(err.strip().splitlines()[-2:]) == 2 and (tmp_path / "d-protected.commitment.json").exists()
    assert not list(tmp_path.glob("*.tsr"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--coin-from", "timestamp"), "needs the authority"),
        (("--coin-from", "drand", "--timestamp", "http://127.0.0.1:1/"), "cannot be checked"),
        (("--coin-from", "drand", "--timestamp", "nowhere", "--authority-certificate", "root.pem"), "not the address"),
        (("--coin-from", "drand", "--authority-certificate", "root.pem"), "belong to an authority"),
        (("--coin-from", "drand", "--timestamp", "http://x/", "--authority-certificate", "d"), "cannot read"),
        (
            ("--coin-from", "drand", "--timestamp", "http://x/", "--authority-certificate", "text"),
            "holds no certificate",
        ),
        (("--coin-from", "drand quicknet:1000"), "is known already"),
        (("--coin-from", "nothing"), "neither drand"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(  # type: ignore[no-untyped-def]
    call, tmp_path: Path, authority: authorities.Authority, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "root.pem").write_bytes(authority.root.read_bytes())
    (tmp_path / "text").write_text("text")
    code, _, err = call("commit", "d", *QUICK, *arguments)
    assert code == 2 and message in err and len(err.strip().splitlines()) == 2
    assert not list(tmp_path.glob("*.commitment*")) and not (tmp_path / "home" / "commitments").exists()


def test_the_command_that_is_named_for_the_copy_does_it(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = [json.loads(line) for line in (tmp_path / "d" / "metadata.jsonl").read_text().splitlines()]
    lines = [json.dumps(row | {"other words": f"a house {n}"}) + "\n" for n, row in enumerate(rows)]
    (tmp_path / "d" / "metadata.jsonl").write_text("".join(lines))
    said = ("--only", "picture 0[0-4]*", "--exclude", "*9.png", "--split", "all", "--caption-column", "text")
    said += ("--caption-column", "other words", "--leave-captions", "other words", "--passes", "12")
    code, out, err = call("commit", "d", *QUICK, *said, "--coin-from", "a lottery:7", "--name", "spring")
    assert code == 0, err
    (line,) = (line for line in out.splitlines() if "protect embed" in line)
    words = [word.replace("VALUE", "0a" * 32) for word in shlex.split(line)][1:]
    lacking = [word for word in words if word not in ("--leave-captions", "other words", "--caption-column", "text")]
    code, _, err = call(*lacking)
    assert code == 2 and "Repeat it with --leave-captions 'other words'" in err
    code, _, err = call("embed", "d", "--commitment", "spring", "--coin", "0a" * 32, "--anyway")
    assert code == 2 and "--only, --exclude, --split, --caption-column, --leave-captions" in err
    code, out, err = call(*words)
    assert code == 0 and "spring" in call("ls")[1], err


def test_a_lost_commitment_is_written_again_and_told_so(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    command = ("commit", "d", *QUICK, "--coin-from", "drand")
    first = json.loads(call(*command, "--json")[1])
    (tmp_path / "d-protected.commitment.json").unlink()
    code, out, _ = call(*command)
    assert code == 0 and first["commitment"] in out and f"made before, on {first['created']}" in out
    assert f"round {first['coin']['round']}" in out and not first["made_before"]
    code, out, _ = call("retire", "d-protected")
    assert code == 0 and "/retired/" in out and "commitments that wait" not in call("ls")[1]
    (tmp_path / "d-protected.commitment.json").unlink()
    code, out, _ = call(*command, "--json")
    assert code == 0 and json.loads(out)["commitment"] != first["commitment"]


def test_a_round_that_is_past_is_told(  # type: ignore[no-untyped-def]
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("commit", "d", *QUICK, "--coin-from", "drand")
    assert "that is past" not in call(*command)[1]
    (tmp_path / "d-protected.commitment.json").unlink()
    monkeypatch.setattr(commit_commands, "comes_out", lambda coin: datetime.now(UTC))
    code, out, _ = call(*command)
    assert code == 0 and "that is past" in out and "protect retire" in out


def test_a_lost_commitment_comes_back_with_the_coin_that_was_drawn(  # type: ignore[no-untyped-def]
    call, tmp_path: Path, authority: authorities.Authority
) -> None:
    with serve(authority) as served:
        given = ("--timestamp", served.address, "--authority-certificate", authority.root)
        command = ("commit", "d", *QUICK, "--coin-from", "timestamp", *given)
        first = json.loads(call(*command, "--json")[1])
        (tmp_path / "d-protected.commitment.json").unlink()
        code, out, err = call(*command)
    assert code == 0 and "its coin is known" in out and "--coin VALUE" not in out, err
    assert json.loads((tmp_path / "d-protected.commitment.json").read_text())["coin"] == first["coin"]
