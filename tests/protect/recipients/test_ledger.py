"""The ledger: numbers are never given twice, lines never lost, names never in a key."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from protect.errors import InputError, ReleaseError
from protect.keys.keyring import Keyring
from protect.keys.tree import KeyTree, prf, secret_from_seed
from protect.recipients import database
from protect.recipients.database import FILE
from protect.recipients.entry import Entry, Recipient, entry_commitment, entry_key, recipient_key
from protect.recipients.ledger import FOLDER, open_ledger
from protect.recipients.table import entries_in, recipients_in, write_table
from protect.release.record import Part, Plan, Release, make_header

PLAN = Plan((Part("lean", {}, 1, "wording", {}, 0.5, 4, 8),), "0" * 64, 100, None, (), 999, 1e-3, 20, 3.0)


def release_of(seed: int = 0) -> Release:
    header = make_header(PLAN, created="2026-11-28T00:00:00+00:00", rehearsal=True)
    return Release("kites", secret_from_seed(seed, "ledger"), header)


RELEASE = release_of()


def asked(*names: str, terms: str = "research only") -> Iterator[tuple[str, Entry]]:
    return ((f"row {i}", Entry(name, terms, f"{i}@example.org")) for i, name in enumerate(names, 1))


def issue(keyring: Keyring, *names: str, again: bool = False, release: Release = RELEASE) -> range:
    with open_ledger(keyring) as ledger:
        return ledger.issue(release, asked(*names), again=again)


def held(keyring: Keyring, release: Release | None = RELEASE) -> list[Recipient]:
    with open_ledger(keyring) as ledger:
        return list(ledger.recipients(release.id if release else None))


def path_of(keyring: Keyring) -> Path:
    return keyring.home / FOLDER / FILE


def test_numbers_count_up_for_each_release(keyring: Keyring) -> None:
    other = release_of(1)
    assert list(issue(keyring, "Ann", "Bo")) == [1, 2] and list(issue(keyring, "Cy")) == [3]
    assert list(issue(keyring, "Ann", release=other)) == [1]
    assert [(r.serial, r.name, r.contact) for r in held(keyring)] == [
        (1, "Ann", "1@example.org"),
        (2, "Bo", "2@example.org"),
        (3, "Cy", "1@example.org"),
    ]
    assert [(r.release, r.serial) for r in held(keyring, None)] == sorted(
        [(RELEASE.id, 1), (RELEASE.id, 2), (RELEASE.id, 3), (other.id, 1)]
    )
    assert stat.S_IMODE(path_of(keyring).stat().st_mode) == 0o600
    with open_ledger(keyring) as ledger:
        assert (ledger.issued(RELEASE.id), ledger.issued(other.id), ledger.issued("f" * 16)) == (3, 1, 0)
        assert ledger.lost(RELEASE.id) == 0


def test_a_recipient_is_entered_once_unless_it_is_meant(keyring: Keyring) -> None:
    issue(keyring, "Acme Ltd", "Bo")
    for names in (("  ACME\u00a0 ltd ",), ("Cy", "Acme Ltd"), ("Cy", "cy")):
        with pytest.raises(InputError, match=r"^row \d: recipient \d .* has a copy .* already") as refused:
            issue(keyring, *names)
        assert "--again" in refused.value.advice
    assert [r.name for r in held(keyring)] == ["Acme Ltd", "Bo"], "all of a file, or none"
    assert list(issue(keyring, "acme ltd", "Cy", again=True)) == [3, 4]
    assert list(issue(keyring, "Acme Ltd", again=True)) == [5]
    with open_ledger(keyring) as ledger:
        assert ledger.one(RELEASE.id, "cy").serial == 4 and ledger.one(RELEASE.id, "5").name == "Acme Ltd"
        with pytest.raises(InputError, match=r"fits 3 recipients .*\nSay which: number:1 or number:3 or number:5\.$"):
            ledger.one(RELEASE.id, "Acme Ltd")
        with pytest.raises(InputError, match="no recipient '9' among 5"):
            ledger.one(RELEASE.id, "9")


def test_names_that_are_numbers_are_never_taken_for_others(keyring: Keyring) -> None:
    issue(keyring, "3", "1", "2", "2024")
    with open_ledger(keyring) as ledger:
        for wanted, other in (("1", 2), ("2", 3), ("3", 1)):
            with pytest.raises(InputError) as refused:
                ledger.one(RELEASE.id, wanted)
            assert refused.value.what.count(f"recipient {wanted} (") == refused.value.what.count(f"({wanted})") == 1
            first, second = sorted((int(wanted), other))
            assert refused.value.advice == f"Say which: number:{first} or number:{second}."
            assert ledger.one(RELEASE.id, f"number:{other}").name == wanted
        assert ledger.one(RELEASE.id, "4").name == "2024" == ledger.one(RELEASE.id, "2024").name
        for nobody in ("5", "0", "number:9", "9" * 23, "9" * 5_000, "number:x"):
            with pytest.raises(InputError, match=rf"no recipient '{nobody}' among 4"):
                ledger.one(RELEASE.id, nobody)
    with sqlite3.connect(path_of(keyring)) as connection:
        connection.execute("DELETE FROM recipients WHERE serial = 2")
    with (
        open_ledger(keyring) as ledger,
        pytest.raises(InputError, match=r"recipient 2 \(not in the ledger\), .* 3 \(2\)"),
    ):
        ledger.one(RELEASE.id, "2")


def test_broken_entries_are_refused_by_their_place(keyring: Keyring) -> None:
    for entry, match in (
        (Entry("  "), "row 2: the name is empty"),
        (Entry("a\x1bb"), "row 2: the name 'a.x1bb' is too long or holds control"),
        (Entry("a" * 1001), "row 2: the name"),
        (Entry("Ann", terms="\x00"), "row 2: terms of 'Ann'"),
        (Entry("Ann", contact="\ud800"), "row 2: contact of 'Ann'"),
    ):
        with pytest.raises(InputError, match=match), open_ledger(keyring) as ledger:
            ledger.issue(RELEASE, [("row 1", Entry("Zoe")), ("row 2", entry)])
    assert held(keyring) == []


def test_nothing_that_is_written_down_enters_a_key(keyring: Keyring) -> None:
    """Whoever tries names, terms, contacts or dates finds the marks of the same number, every time."""
    keys = [KeyTree(RELEASE.secret, "", recipient_key(n)).slot(0).planted for n in (1, 2)]
    assert keys[0] != keys[1]
    for n in range(300):
        entry = Entry(f"name {n}", f"terms {n}", f"contact {n}")
        recipient = Recipient(RELEASE.id, 1, entry.name, entry.terms, entry.contact, f"20{n}", "")
        assert KeyTree(RELEASE.secret, "", recipient.key).slot(0).planted == keys[0]
        assert entry_commitment(RELEASE, 1, entry, f"20{n}") != entry_commitment(RELEASE, 1, Entry("other"), f"20{n}")


def test_a_commitment_binds_number_and_recipient_and_is_opened_by_its_key(keyring: Keyring) -> None:
    issue(keyring, "Ann", "Bo")
    ann, bo = held(keyring)
    opened = prf(entry_key(RELEASE, 1), "recipient", RELEASE.commitment, 1, "Ann", ann.terms, ann.contact, ann.issued)
    assert ann.commitment == opened.hex()
    others = [
        entry_commitment(RELEASE, 2, ann.entry, ann.issued),
        entry_commitment(release_of(1), 1, ann.entry, ann.issued),
        entry_commitment(RELEASE, 1, replace(ann.entry, terms="all rights"), ann.issued),
        bo.commitment,
    ]
    assert len({ann.commitment, *others}) == 5


def test_revoked_recipients_stay_and_count(keyring: Keyring) -> None:
    issue(keyring, "Ann", "Bo")
    with open_ledger(keyring) as ledger:
        ended = ledger.revoke(ledger.one(RELEASE.id, "Ann"), "licence ended")
        assert ended.revoked and ledger.one(RELEASE.id, "1") == ended and ledger.revoked(RELEASE.id) == 1
        with pytest.raises(InputError, match="is revoked since 20"):
            ledger.revoke(ended, "again")
        ledger.note_digest(ledger.one(RELEASE.id, "2"), "ab" * 32)
        stale = replace(ended, revoked="", why="")
        ledger.note_digest(stale, "cd" * 32)
        assert ledger.one(RELEASE.id, "1") == replace(ended, digest="cd" * 32), "one column at a time"
        assert ledger.issued(RELEASE.id) == 2


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_an_export_comes_back_as_it_was(keyring: Keyring, tmp_path: Path, ending: str) -> None:
    names = ("Ann", 'Bo "the\u00a0box", Ltd', "名前", "Ann")
    issue(keyring, *names[:3])
    issue(keyring, names[3], again=True)
    with open_ledger(keyring) as ledger:
        ledger.revoke(ledger.one(RELEASE.id, "2"), "why,\nand why")
    before, table = held(keyring), tmp_path / f"export{ending}"
    assert write_table(table, iter(before)) == 4 and stat.S_IMODE(table.stat().st_mode) == 0o600
    assert [r for _, r in recipients_in(table)] == before
    other = Keyring(tmp_path / "other")
    with open_ledger(other) as ledger:
        assert ledger.add(recipients_in(table), {RELEASE.id: RELEASE}) == 4
        assert ledger.add(recipients_in(table), {}) == 0, "a second time nothing is new"
    assert held(other) == before
    assert list(issue(other, "Dee")) == [5]


def test_an_import_gains_what_is_lacking_and_contradicts_nothing(keyring: Keyring, tmp_path: Path) -> None:
    issue(keyring, "Ann", "Bo")
    ann, bo = held(keyring)
    releases = {RELEASE.id: RELEASE}
    later = replace(ann, revoked="2027-01-01T00:00:00+00:00", why="ended", digest="ab" * 32)
    with open_ledger(keyring) as ledger:
        assert ledger.add([("line 2", later), ("line 3", bo)], releases) == 0
        ledger.add([("line 2", ann)], releases)
        assert ledger.one(RELEASE.id, "1") == later, "an old export ends no revocation"
        for changed, match in (
            (replace(later, name="Cy"), "does not match its commitment"),
            (replace(later, serial=7), "does not match its commitment"),
            (replace(later, digest="cd" * 32), "contradicts the ledger"),
        ):
            new = replace(ann, serial=9, commitment=entry_commitment(RELEASE, 9, ann.entry, ann.issued))
            with pytest.raises(InputError, match=f"^line 3: recipient .*{match}"):
                ledger.add([("line 2", new), ("line 3", changed)], releases)
        forged = replace(later, name="Cy")
        with pytest.raises(InputError, match=r"^line 2: .* contradicts the ledger"):
            ledger.add([("line 2", forged)], {})
    assert held(keyring) == [later, bo]


def test_owners_files_name_their_broken_row(tmp_path: Path) -> None:
    table = tmp_path / "recipients.csv"
    table.write_bytes('\ufeffname,terms,contact\n"Ann, B","a\nb",x\nBo,,\n'.encode())
    assert list(entries_in(table)) == [
        (f"{table.name}, line 2", Entry("Ann, B", "a\nb", "x")),
        (f"{table.name}, line 4", Entry("Bo", "", "")),
    ]
    for content, match in (
        (b"name,terms\nAnn,x\nBo\n", r"recipients.csv, line 3: no terms"),
        (b"name,terms\nAnn,x,y\n", r"line 2: 3 fields, but 2 columns"),
        (b"name,terms,notes\nAnn,x,y\n", r"line 2: unknown column 'notes'"),
        (b"name,terms\nAnn,\xff\n", r"line 2: not UTF-8"),
        (b"terms\nx\n", r"line 2: no name"),
    ):
        table.write_bytes(content)
        with pytest.raises(InputError, match=match):
            list(entries_in(table))
    with pytest.raises(InputError, match="no table of recipients"):
        list(entries_in(tmp_path / "recipients.xlsx"))
    with pytest.raises(InputError, match="cannot be read"):
        list(entries_in(tmp_path / "none.csv"))


def test_exports_that_were_mangled_are_refused(keyring: Keyring, tmp_path: Path) -> None:
    issue(keyring, "Ann")
    table = tmp_path / "export.csv"
    write_table(table, held(keyring))
    good = table.read_text()
    for old, new, match in (
        (",serial,", ",number,", "not the columns of an export"),
        (f"{RELEASE.id},1,", f"{RELEASE.id},0,", "no release or serial number"),
        (f"{RELEASE.id},1,", "kites,1,", "no release or serial number"),
        (",Ann,", ",,", "the name is empty"),
    ):
        table.write_text(good.replace(old, new))
        with pytest.raises(InputError, match=f"export.csv, line 2: {match}"):
            list(recipients_in(table))


def test_a_locked_ledger_says_so(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    issue(keyring, "Ann")
    monkeypatch.setattr(database, "WAIT", 0.05)
    other = sqlite3.connect(path_of(keyring), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ReleaseError, match="in use by another run"):
        issue(keyring, "Bo")
    other.execute("ROLLBACK")
    other.close()
    assert list(issue(keyring, "Bo")) == [2]


def test_two_runs_at_once_give_different_numbers(keyring: Keyring) -> None:
    issue(keyring, "first")
    found: list[range] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(issue(keyring, *(f"{n}-{i}" for i in range(50)))))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(serial for given in found for serial in given) == list(range(2, 202))
    assert [r.serial for r in held(keyring)] == list(range(1, 202))


def test_a_ledger_of_a_newer_program_is_left_alone(keyring: Keyring) -> None:
    issue(keyring, "Ann")
    connection = sqlite3.connect(path_of(keyring))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path_of(keyring).read_bytes()
    with pytest.raises(ReleaseError, match="form 99; this program knows forms up to 1"):
        issue(keyring, "Bo")
    assert path_of(keyring).read_bytes() == before


def test_a_change_of_form_leaves_a_backup(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    issue(keyring, "Ann")
    before = held(keyring)
    newer = (*database.FORMS, ("ALTER TABLE recipients ADD COLUMN note TEXT NOT NULL DEFAULT ''",))
    broken = (*database.FORMS, ("ALTER TABLE recipients ADD COLUMN note TEXT", "no statement"))
    with monkeypatch.context() as patch:
        patch.setattr(database, "FORMS", broken)
        with pytest.raises(ReleaseError, match="cannot be used"):
            issue(keyring, "Bo")
    assert held(keyring) == before, "half a change is none"
    monkeypatch.setattr(database, "FORMS", newer)
    assert held(keyring) == before and list(issue(keyring, "Bo")) == [2]
    backup = path_of(keyring).with_name(f"{FILE}.form-1-2")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    copy = sqlite3.connect(backup)
    assert [row[0] for row in copy.execute("SELECT name FROM recipients")] == ["Ann"]
    assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    copy.close()


@pytest.mark.parametrize("damage", ["head", "middle"])
def test_a_damaged_ledger_is_set_aside_and_no_number_given_twice(keyring: Keyring, tmp_path: Path, damage: str) -> None:
    issue(keyring, *(f"name {i:04}" for i in range(400)))
    lines, path = held(keyring), path_of(keyring)
    write_table(tmp_path / "export.csv", lines[:300])
    data = bytearray(path.read_bytes())
    start = 0 if damage == "head" else len(data) // 2
    data[start : start + 5000] = b"\x07" * 5000
    path.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"is damaged .* it is set aside as recipients.sqlite.damaged") as told:
        issue(keyring, "late")
    assert "protect recipients import" in told.value.advice
    assert path.with_name(f"{FILE}.damaged").read_bytes() == data and not path.exists()
    with open_ledger(keyring) as ledger:
        assert (ledger.issued(RELEASE.id), ledger.lost(RELEASE.id)) == (400, 400)
        with pytest.raises(InputError, match="400 of them are not in the ledger"):
            ledger.one(RELEASE.id, "name 0001")
        ledger.add(recipients_in(tmp_path / "export.csv"), {RELEASE.id: RELEASE})
        assert ledger.lost(RELEASE.id) == 100
    assert held(keyring) == lines[:300] and list(issue(keyring, "late")) == [401]


def test_an_old_backup_gives_no_number_twice(keyring: Keyring, tmp_path: Path) -> None:
    issue(keyring, "Ann")
    shutil.copy(path_of(keyring), tmp_path / "backup")
    issue(keyring, "Bo", "Cy")
    shutil.copy(tmp_path / "backup", path_of(keyring))
    assert list(issue(keyring, "Dee")) == [4]
    (keyring.home / FOLDER / f"{RELEASE.id}.issued").write_text("many")
    with pytest.raises(ReleaseError, match="does not tell the highest serial number"):
        issue(keyring, "Eve")


def test_a_ledger_that_others_can_read_is_refused(keyring: Keyring) -> None:
    issue(keyring, "Ann")
    path_of(keyring).chmod(0o644)
    with pytest.raises(ReleaseError, match="can be read by others"):
        issue(keyring, "Bo")


KILLED = """
import os, signal, sys
from pathlib import Path
from protect.keys.keyring import Keyring
from protect.recipients.ledger import open_ledger
from tests.protect.recipients.test_ledger import RELEASE, asked

def entries(stop):
    for done, row in enumerate(asked(*(f"name {i}" for i in range(10_000)))):
        if done == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row

with open_ledger(Keyring(Path(sys.argv[1]))) as ledger:
    ledger.issue(RELEASE, entries(int(sys.argv[2])))
"""


@pytest.mark.parametrize("stop", [1, 9_900])
def test_a_run_that_is_killed_between_rows_leaves_all_or_nothing(keyring: Keyring, stop: int) -> None:
    """9,900 rows are more than SQLite holds in memory: they are in the file already when the run dies."""
    issue(keyring, "first")
    root = Path(__file__).parents[3]
    call = [sys.executable, "-c", KILLED, str(keyring.home), str(stop)]
    done = subprocess.run(call, cwd=root, check=False, env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == -signal.SIGKILL
    assert stop == 1 or path_of(keyring).stat().st_size > 500_000, "much was written when the run was killed"
    assert [r.name for r in held(keyring)] == ["first"]
    given = issue(keyring, *(f"name {i}" for i in range(10_000)))
    assert (given.start, given.stop) == (2, 10_002)
    assert [r.serial for r in held(keyring)] == list(range(1, 10_002))


def test_many_rows_take_little_memory(keyring: Keyring, tmp_path: Path) -> None:
    """Of Python's memory: SQLite itself keeps 2 MB."""
    table = tmp_path / "recipients.csv"
    with table.open("w") as stream:
        stream.write("name,terms\n")
        stream.writelines(f"recipient number {i},terms of some length {i}\n" for i in range(5_000))
    tracemalloc.start()
    with open_ledger(keyring) as ledger:
        given = ledger.issue(RELEASE, entries_in(table))
        write_table(tmp_path / "out.jsonl", ledger.recipients(RELEASE.id))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(given) == 5_000 and peak < 600_000
