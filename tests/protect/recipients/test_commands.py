"""`protect issue` and `protect recipients` as a user meets them."""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cli
from protect.recipients import database
from tests.support.datasets import contents
from tests.support.leaning import PHRASES, make_varied_folder, sayable_captions

Run = Callable[..., tuple[int, str, str]]
MAINS = {"protect": cli.protect_main, "detect": cli.detect_main}
FOR_RECIPIENTS = ("--for-recipients", "--wordings", "list.csv", "--slots", 4, "--anyway", "--name", "kites")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a script in a folder with a dataset; returns exit code, stdout and stderr."""
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    make_varied_folder(tmp_path / "d", sayable_captions(210))
    (tmp_path / "list.csv").write_text("\n".join(PHRASES))

    def call(script: str, *args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [script, *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            MAINS[script]()
        out = capsys.readouterr()
        return int(stop.value.code or 0), out.out, out.err

    return call


def refused(told: tuple[int, str, str], *parts: str) -> bool:
    code, out, err = told
    lines = [line for line in err.strip().splitlines() if line.startswith("error:")]
    return code == 2 and not out and len(lines) == 1 and "Traceback" not in err and all(part in err for part in parts)


def test_from_a_table_to_copies(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("protect", "embed", "d", *FOR_RECIPIENTS)
    assert (
        code == 0
        and "ready for recipients" in out
        and "protect issue" in out
        and not (tmp_path / "d-protected").exists()
    )
    assert "for recipients in 4 slot(s)" in run("protect", "ls")[1]
    (tmp_path / "r.csv").write_text('name,terms,contact\n"Acme, Ltd",research,a@b\nBo,sale,\n')
    before = contents(tmp_path)
    code, out, _ = run("protect", "issue", "kites", "--to", "r.csv", "--dry-run")
    assert code == 0 and "would enter 2 recipient(s)" in out and "numbers 1 to 2" in out
    assert {n for n in contents(tmp_path) if n not in before} <= {"home/recipients/recipients.sqlite"}
    code, out, _ = run("protect", "issue", "kites", "--to", "r.csv", "--to", "Cy", "--json")
    assert refused(run("protect", "issue", "kites", "--to", "r.csv"), "r.csv, line 2", "Acme, Ltd", "--again")
    assert code == 0 and json.loads(out)["last"] == 3
    code, out, _ = run("protect", "issue", "kites", "--to", "Bo", "--again", "--terms", "more")
    assert code == 0 and "number 4" in out
    code, out, _ = run("protect", "issue", "kites", "--materialise", "Acme, Ltd", "-o", "acme", "--link", "--json")
    copy = json.loads(out)
    assert code == 0 and copy["recipient"] == 1 and copy["changed"] == 105 and (tmp_path / "acme").is_dir()
    assert "Acme" not in (tmp_path / "acme.commitment.json").read_text()
    code, out, _ = run("protect", "issue", "kites", "--materialise", 3, "-o", "cy")
    assert code == 0 and "recipient 3 (Cy)" in out
    code, out, _ = run("protect", "verify", "acme")
    assert code == 0 and "(kites), recipient 1 (Acme, Ltd): 105 of 105 carriers" in out
    code, out, _ = run("protect", "verify", "cy", "--release", "kites", "--recipient", "Acme, Ltd", "--json")
    assert code == 5 and json.loads(out)["recipient"] == 1 and len(json.loads(out)["findings"]) > 30
    code, out, _ = run("protect", "show", "cy", "--original", "d")
    assert code == 0 and "recipient 3 (Cy)" in out and list((tmp_path / "home" / "pages").glob("*-3.html"))
    code, out, _ = run("protect", "diff", "acme", "cy", "--json")
    assert code == 0 and not any(change["picture"] for change in json.loads(out)["changes"])


def test_the_ledger_is_listed_taken_out_and_in_and_ended(run: Run, tmp_path: Path) -> None:
    run("protect", "embed", "d", *FOR_RECIPIENTS)
    assert "0 recipient(s)" in run("protect", "recipients", "ls")[1]
    run("protect", "issue", "kites", "--to", "Ann", "--to", "Bo", "--terms", "x")
    code, out, _ = run("protect", "recipients", "revoke", "kites", "ann", "--why", "did not pay")
    assert code == 0 and "revoked recipient 1 (Ann)" in out
    assert refused(run("protect", "recipients", "revoke", "kites", "1", "--why", "x"), "is revoked since")
    assert refused(run("protect", "recipients", "revoke", "kites", "2", "--why", " "), "--why is empty")
    assert refused(run("protect", "issue", "kites", "--materialise", "1", "-o", "ann"), "is revoked since")
    code, out, _ = run("protect", "recipients", "ls", "kites")
    assert code == 0 and "2 recipient(s), 1 revoked" in out and "did not pay" in out
    for name in ("l.csv", "l.jsonl"):
        assert run("protect", "recipients", "export", "-o", name)[0] == 0
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    ledger = tmp_path / "home" / "recipients" / "recipients.sqlite"
    ledger.write_bytes(b"\x07" * 9000)
    assert refused(run("protect", "issue", "kites", "--to", "Cy"), "is damaged", "set aside", "recipients import")
    code, out, _ = run("protect", "issue", "kites", "--to", "Cy")
    assert code == 0 and "number 3" in out and "2 recipient(s) are not in the ledger" in out
    assert "2 recipient(s) are not in the ledger" in run("protect", "recipients", "ls")[1]
    code, out, _ = run("protect", "recipients", "import", "l.jsonl")
    assert code == 0 and "2 recipient(s) were new" in out
    code, out, _ = run("protect", "recipients", "ls", "--json")
    (listed,) = json.loads(out)
    assert [r["name"] for r in listed["recipients"]] == ["Ann", "Bo", "Cy"] and listed["lost"] == 0
    assert listed["recipients"][0]["why"] == "did not pay"
    assert "0 recipient(s) were new" in run("protect", "recipients", "import", "l.csv")[1]


def test_mistakes_get_two_lines(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("protect", "embed", "d", *FOR_RECIPIENTS)
    run("protect", "embed", "d", "--output", "all", "--wordings", "list.csv", "--slots", 4, "--anyway")
    assert refused(run("protect", "issue", "all", "--to", "Ann"), "one copy for everybody", "--for-recipients")
    assert refused(run("protect", "recipients", "ls", "all"), "one copy for everybody")
    assert refused(run("protect", "issue", "none", "--to", "Ann"), "no release called 'none'")
    assert refused(run("protect", "issue", "kites"), "either --to or --materialise")
    assert refused(run("protect", "issue", "kites", "--to", "Ann", "-o", "x"), "--output cannot be given")
    assert refused(run("protect", "issue", "kites", "--materialise", "Ann", "-o", "x"), "no recipient 'Ann' among 0")
    run("protect", "issue", "kites", "--to", "Ann")
    assert refused(run("protect", "issue", "kites", "--materialise", "Ann"), "--materialise needs --output")
    assert refused(run("protect", "issue", "kites", "--materialise", "1", "-o", "x", "--terms", "y"), "--terms cannot")
    assert refused(run("protect", "issue", "kites", "--materialise", "9" * 23, "-o", "x"), "among 1")
    (tmp_path / "empty.csv").write_text("name,terms\n")
    assert refused(run("protect", "issue", "kites", "--to", "empty.csv"), "no recipient in it")
    assert refused(run("protect", "issue", "kites", "--to", "empty.csv", "--terms", "x"), "Write them into the file")
    (tmp_path / "broken.csv").write_text("name,terms\nBo,x\n\n,x\n")
    assert refused(run("protect", "issue", "kites", "--to", "broken.csv"), "broken.csv, line 4: the name is empty")
    assert refused(run("protect", "embed", "d", *FOR_RECIPIENTS, "--both", "--output", "b"), "with other marks besides")
    assert refused(run("protect", "embed", "d", *FOR_RECIPIENTS, "--link", "--output", "b"), "no copy is written")
    assert refused(run("detect", "run", "--model", "d", "--release", "kites"), "made for recipients", "detect trace")
    monkeypatch.setattr(database, "WAIT", 0.05)
    other = sqlite3.connect(tmp_path / "home" / "recipients" / "recipients.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert refused(run("protect", "issue", "kites", "--to", "Bo"), "in use by another run")
    other.close()
    code, out, _ = run("protect", "recipients", "ls", "--json")
    assert code == 0 and [r["name"] for r in json.loads(out)[0]["recipients"]] == ["Ann"]
