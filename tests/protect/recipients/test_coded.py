"""Painted copies: pictures depend on sample, slot and bit, never on the recipient; bits tell whose copy it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest

from protect.embed.job import Embedding
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError, ReleaseError
from protect.execution.engine import Threads
from protect.formats import open_dataset
from protect.keys.code import most_recipients
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.recipients import coded
from protect.recipients.coded import bits_of, code_of, nearest_bits, votes
from protect.recipients.entry import Entry, Recipient
from protect.recipients.find import Found, release_and_recipient
from protect.recipients.ledger import open_ledger
from protect.recipients.materialise import Copy, materialise
from protect.recipients.overlay import overlay
from protect.release.plan import Options
from protect.release.record import Release
from tests.support.datasets import contents, make_folder, recaption, varied_captions

COUNT, SLOTS, SECRET = 72, 30, secret_from_seed(4, "coded")
CODED = Options(
    rate=0.84, family="template", alignment="twa", slots=SLOTS, queries=4, decoys=99, alpha=0.05, recipients=True
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return recaption(make_folder(tmp_path_factory.mktemp("source") / "d", COUNT), varied_captions(COUNT))


@pytest.fixture(scope="module")
def written(
    source: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Embedding, Keyring, list[Recipient], list[Copy]]:
    """A release and its first eight copies; read only."""
    folder = tmp_path_factory.mktemp("coded")
    keyring = Keyring(folder / "home")
    done = embed(source, folder / "out", CODED, keyring, secret=SECRET)
    with open_ledger(keyring) as ledger:
        given = ledger.issue(done.release, ((f"row {n}", Entry(f"name {n}")) for n in range(1, 17)))
        people = [ledger.one(done.release.id, str(serial)) for serial in given]
    copies = [
        materialise(done.release, one, folder / f"copy {one.serial}", keyring, engine=Threads()) for one in people[:8]
    ]
    return done, keyring, people, copies


def test_bytes_depend_on_sample_slot_and_bit_alone(
    written: tuple[Embedding, Keyring, list[Recipient], list[Copy]], source: Path
) -> None:
    done, keyring, _, copies = written
    draws = overlay(done.release, keyring.store, 1).shared.draws([""] * SLOTS)
    slot_of = {record.key: slot for slot, draw in enumerate(draws) for record in draw.carriers}
    assert len(slot_of) == 60 and {len(draw.carriers) for draw in draws} == {2}
    before, found = contents(source), [contents(copy.output) for copy in copies]
    bits = [bits_of(done.release, copy.recipient.serial) for copy in copies]
    assert any(one != other for one, other in product(bits, bits))
    assert all(files["metadata.jsonl"] == found[0]["metadata.jsonl"] != before["metadata.jsonl"] for files in found)
    seen: dict[tuple[str, int], set[bytes]] = {}
    for files, own in zip(found, bits, strict=True):
        for key, slot in slot_of.items():
            seen.setdefault((key, own[slot]), set()).add(files[key])
    assert all(len(pictures) == 1 for pictures in seen.values())
    both = [key for key in slot_of if (key, 0) in seen and (key, 1) in seen]
    assert both and all(seen[key, 0] != seen[key, 1] for key in both)
    assert all(
        files[key] == before[key] for files in found for key in before if key.endswith(".png") and key not in slot_of
    )


def test_marks_are_those_of_the_code(written: tuple[Embedding, Keyring, list[Recipient], list[Copy]]) -> None:
    done, keyring, _, copies = written
    code = code_of(done.release)
    for serial in range(1, 9):
        bound = overlay(done.release, keyring.store, serial).bound
        bits = bits_of(done.release, serial)
        assert [slot.planted for slot in bound.slots] == [int(code.marks(k)[bits[k]]) for k in range(SLOTS)]
        assert [slot.questions for slot in bound.slots] == [slot.questions for slot in done.bound.slots]
    assert len({copy.recipient.digest for copy in copies}) == len(
        {tuple(bits_of(done.release, n)) for n in range(1, 9)}
    )


def test_a_copy_is_verified_and_its_bits_tell_the_recipient(
    written: tuple[Embedding, Keyring, list[Recipient], list[Copy]], source: Path, tmp_path: Path
) -> None:
    done, keyring, _, copies = written
    for copy in copies:
        opened = open_dataset(copy.output)
        found = release_and_recipient(opened, keyring)
        assert (found.serial, found.recipient) == (copy.recipient.serial, copy.recipient.name)
        assert found.in_words() == copy.recipient.in_words()
    checked = verify(found.bound, opened)
    assert checked.intact == checked.carriers == 60
    other = copies[0]
    named = release_and_recipient(opened, keyring, release=done.release.id, recipient=str(other.recipient.serial))
    problems = [finding.problem for finding in verify(named.bound, opened).findings]
    own, others = (bits_of(done.release, c.recipient.serial) for c in (copy, other))
    differing = sum(a != b for a, b in zip(own, others, strict=True))
    assert len(problems) == 2 * differing > 0 and all(problem.startswith("bytes changed") for problem in problems)
    with pytest.raises(ReleaseError, match="no release fits"):
        release_and_recipient(open_dataset(source), keyring)


def test_a_picture_that_would_tell_its_recipient_is_refused(
    written: tuple[Embedding, Keyring, list[Recipient], list[Copy]], tmp_path: Path
) -> None:
    """As another version of a program might paint it."""
    done, keyring, people, copies = written
    path = copies[0].output
    with open_ledger(keyring) as ledger:
        known = ledger.pictures(done.release.id)
        assert len(known) == sum(
            len({bits_of(done.release, copy.recipient.serial)[slot] for copy in copies}) * 2 for slot in range(SLOTS)
        )
        (sample, slot, bit), row = next(iter(known.items()))
        assert any(row[0] == hashlib.sha256(copy.output.joinpath(sample).read_bytes()).hexdigest() for copy in copies)
        connection = ledger._connection
        connection.execute("UPDATE pictures SET sha256 = ? WHERE sample = ?", ("ab" * 32, sample))
    again = next(one for one in people if bits_of(done.release, one.serial)[slot] == bit)
    with pytest.raises(InputError, match=f"{sample} would not be the picture that other recipients were given"):
        materialise(done.release, again, tmp_path / "again", keyring, engine=Threads())
    assert not (tmp_path / "again").exists() and path.exists()
    with open_ledger(keyring) as ledger:
        for key, (sha256, _, _) in known.items():
            ledger._connection.execute(
                "UPDATE pictures SET sha256 = ? WHERE sample = ? AND slot = ? AND bit = ?", (sha256, *key)
            )


def test_a_code_of_few_bits_is_refused(source: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    with pytest.raises(InputError, match=r"tracing code of 5 bit\(s\): it hardly names anybody at alpha 0.05") as told:
        embed(source, tmp_path / "out", replace(CODED, slots=5), keyring, secret=SECRET)
    assert "--slots 6 or more" in told.value.advice and not keyring.releases()


def _code_only(slots: int, seed: int) -> Release:
    """What the code of a release needs."""
    return SimpleNamespace(secret=secret_from_seed(seed, "apart"), coin="", plan=SimpleNamespace(slots=slots))  # type: ignore[return-value]


def test_who_has_the_same_bits_is_named_together_and_never_instead() -> None:
    """With few slots many recipients share their bits; an intact copy names all of them, whoever it was given to."""
    several = 0
    for seed in range(5):
        release = _code_only(11, seed)
        bits = np.stack([code_of(release).bits(slot, range(1, 301)) for slot in range(11)], axis=1)
        for serial in (1, 17, 150, 300):
            shown = np.zeros((11, 2), dtype=np.int64)
            shown[np.arange(11), bits[serial - 1]] = 6
            same = np.flatnonzero((bits == bits[serial - 1]).all(axis=1)) + 1
            assert nearest_bits(shown, release, 300) == tuple(same.tolist()) and serial in same
            several += len(same) > 1
    assert several > 5
    assert nearest_bits(np.zeros((11, 2), dtype=np.int64), release, 300) == ()


def test_a_half_of_a_painted_copy_tells_its_recipient(
    written: tuple[Embedding, Keyring, list[Recipient], list[Copy]], tmp_path: Path
) -> None:
    done, keyring, _, copies = written
    half = copytree(copies[2].output, tmp_path / "half")
    rows = (half / "metadata.jsonl").read_text().splitlines()[::2]
    kept = {json.loads(row)["file_name"] for row in rows}
    for path in half.glob("*.png"):
        if path.name not in kept:
            path.unlink()
    (half / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    assert 3 in [serial for serial, _ in release_and_recipient(open_dataset(half), keyring).people]
    with open_ledger(keyring) as ledger:
        assert votes(open_dataset(half), done.release, ledger).sum() < 40


def test_ties_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    release = _code_only(3, 0)
    shown = np.array([[0, 1], [2, 0], [1, 1]])
    whole = nearest_bits(shown, release, 100)
    monkeypatch.setattr(coded, "BLOCK", 7)
    assert nearest_bits(shown, release, 100) == whole and len(whole) > 1


def test_several_recipients_are_told_as_several(
    written: tuple[Embedding, Keyring, list[Recipient], list[Copy]],
) -> None:
    done, *_ = written
    found = Found(done.bound, ((3, "Ann"), (5, "Bo")))
    assert found.serial is None and not found.recipient and not found.number
    assert found.in_words() == "one of these 2 recipients, whose bits are equal in it: 3 (Ann), 5 (Bo)"
    many = Found(done.bound, tuple((n, "x") for n in range(1, 31)))
    assert "one of these 30 recipients" in many.in_words() and many.in_words().endswith("20 (x) and 10 more")


def test_more_recipients_than_the_slots_tell_apart_are_refused(
    written: tuple[Embedding, Keyring, list[Recipient], list[Copy]],
) -> None:
    """All of a table or none; the ledger is as before."""
    done, keyring, people, _ = written
    most = most_recipients(SLOTS)
    rows = [(f"row {n}", Entry(f"more {n}")) for n in range(most - len(people) + 1)]
    with open_ledger(keyring) as ledger:
        with pytest.raises(InputError, match=f"{most + 1} recipients, .* code of 30 slots tells {most} apart"):
            ledger.issue(done.release, rows)
        assert ledger.issued(done.release.id) == len(people)
        assert len(ledger.issue(done.release, rows[:-1], dry_run=True)) == len(rows) - 1
