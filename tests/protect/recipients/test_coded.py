"""Painted copies: pictures depend on sample, slot and bit, never on the recipient; bits tell whose copy it is."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from protect.embed.job import Embedding
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError, ReleaseError
from protect.execution.engine import Threads
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.recipients.coded import bits_of, code_of
from protect.recipients.entry import Entry, Recipient
from protect.recipients.find import release_and_recipient
from protect.recipients.ledger import open_ledger
from protect.recipients.materialise import Copy, materialise
from protect.recipients.overlay import overlay
from protect.release.plan import Options
from tests.support.datasets import contents, make_folder, recaption, varied_captions

COUNT, SLOTS, SECRET = 60, 6, secret_from_seed(4, "coded")
CODED = Options(
    rate=0.6, family="template", alignment="twa", slots=SLOTS, queries=4, decoys=99, alpha=0.05, recipients=True
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
        given = ledger.issue(done.release, ((f"row {n}", Entry(f"name {n}")) for n in range(1, 41)))
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
    assert len(slot_of) == 36 and {len(draw.carriers) for draw in draws} == {6}
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
    everybody = [tuple(bits_of(done.release, n)) for n in range(1, 41)]
    alone = next(copy for copy in copies if everybody.count(tuple(bits_of(done.release, copy.recipient.serial))) == 1)
    opened = open_dataset(alone.output)
    found = release_and_recipient(opened, keyring)
    assert found.serial == alone.recipient.serial
    checked = verify(found.bound, opened)
    assert checked.intact == checked.carriers == 36
    other = next(copy for copy in copies if copy.recipient.digest != alone.recipient.digest)
    named = release_and_recipient(opened, keyring, release=done.release.id, recipient=str(other.recipient.serial))
    problems = [finding.problem for finding in verify(named.bound, opened).findings]
    differing = sum(
        a != b for a, b in zip(*(bits_of(done.release, c.recipient.serial) for c in (alone, other)), strict=True)
    )
    assert len(problems) == 6 * differing and all(problem.startswith("bytes changed") for problem in problems)
    with pytest.raises(ReleaseError, match="no recipient's copy fits"):
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
            len({bits_of(done.release, copy.recipient.serial)[slot] for copy in copies}) * 6 for slot in range(SLOTS)
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
