"""Recipients' copies: each is what a direct embedding gives, none says whose it is, and the owner finds out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from protect.embed.commit import commit, options_of
from protect.embed.copy import Copying
from protect.embed.job import Embedding
from protect.embed.pending import Pending
from protect.embed.render import carriers_of
from protect.embed.select import select
from protect.embed.shared import stored_shared
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError, ReleaseError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Threads
from protect.formats import open_dataset
from protect.formats.survey import survey
from protect.keys.keyring import Keyring
from protect.keys.tree import KeyTree
from protect.progress import no_progress
from protect.recipients.entry import Entry, Recipient
from protect.recipients.find import nearest_recipient, release_and_recipient
from protect.recipients.ledger import FOLDER, open_ledger
from protect.recipients.materialise import Copy, materialise
from protect.recipients.overlay import overlay
from protect.release.bound import bind
from protect.release.plan import Options
from protect.release.record import Coin, Release
from protect.release.stored import from_json, to_json
from tests.support.datasets import contents
from tests.support.lean_releases import COUNT, PAINTED, SECRET, TWA, WORDING, site_of, with_list
from tests.support.leaning import make_varied_folder, sayable_captions
from tests.support.shards import write_tar

NAME, TERMS, CONTACT = "Quixotic Holdings", "licence zzterms 77", "quixote@example.org"
ENGINE = Threads()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return make_varied_folder(tmp_path_factory.mktemp("source") / "d", sayable_captions(COUNT))


@pytest.fixture(scope="module")
def master(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Embedding, Keyring]:
    """A release for recipients, and a keyring without any; read only."""
    folder = tmp_path_factory.mktemp("master")
    keyring = Keyring(folder / "home")
    options = replace(with_list(WORDING, keyring), recipients=True)
    return embed(source, folder / "out", options, keyring, secret=SECRET), keyring


@pytest.fixture
def home(master: tuple[Embedding, Keyring], tmp_path: Path) -> Keyring:
    """A copy of that keyring."""
    shutil.copytree(master[1].home, tmp_path / "home")
    return Keyring(tmp_path / "home")


def release_in(keyring: Keyring) -> Release:
    (release,) = keyring.releases()
    return release


def issue(keyring: Keyring, *names: str) -> list[Recipient]:
    release = release_in(keyring)
    with open_ledger(keyring) as ledger:
        given = ledger.issue(release, ((f"row {name}", Entry(name, TERMS, CONTACT)) for name in names))
        return [ledger.one(release.id, str(serial)) for serial in given]


def write(keyring: Keyring, recipient: Recipient, output: Path, **options: object) -> Copy:
    return materialise(release_in(keyring), recipient, output, keyring, engine=ENGINE, **options)  # type: ignore[arg-type]


def directly(release: Release, source: Path, keyring: Keyring, serial: int, output: Path) -> Path:
    """The copy as if the dataset were embedded for this recipient alone: nothing kept is used."""
    dataset, keys = open_dataset(source), replace(release.keys, recipient=str(serial))
    selection = select(dataset, options_of(release.plan), keys, keyring.store, MemoryBudget())
    assert selection.questions == tuple(map(release.slot_questions, range(release.plan.slots)))
    bound = bind(release, keyring.store, str(serial))
    pending = Pending.of(keyring, output)
    pending.folder.mkdir(parents=True)
    copying = Copying(dataset, pending, MemoryBudget(), ENGINE, no_progress, link=False)
    done, failed = copying.write(bound, carriers_of(bound, selection.slots))
    assert not failed and len(done.release.carriers) == COUNT // 2
    pending.content(dataset.root).rename(output)
    return output


def test_a_release_for_recipients_has_a_commitment_and_no_copy(master: tuple[Embedding, Keyring]) -> None:
    done, keyring = master
    release = release_in(keyring)
    assert release == done.release == done.bound.release and release.complete
    assert release.plan.recipients and not release.carriers
    assert from_json(to_json(release), Path("r.json")) == release
    assert {path.name for path in done.output.parent.iterdir()} == {"home", "list", "out.commitment.json"}
    assert json.loads(done.commitment_file.read_text()) == release.public()
    assert not list((keyring.home / "pending").iterdir())
    other = replace(release, header=release.header.replace(b'"recipients":true', b'"recipients":false'))
    assert other.commitment != release.commitment, "that copies differ is committed to"


@pytest.mark.parametrize("softness", [0.0, 1.5])
def test_a_copy_is_what_a_direct_embedding_gives(source: Path, tmp_path: Path, softness: float) -> None:
    keyring = Keyring(tmp_path / "home")
    options = replace(with_list(WORDING, keyring), recipients=True, family_options={"softness": softness})
    release = embed(source, tmp_path / "out", options, keyring, secret=SECRET).release
    issue(keyring, *(f"name {n}" for n in range(12)))
    with open_ledger(keyring) as ledger:
        for serial in (1, 12):
            copy = write(keyring, ledger.one(release.id, str(serial)), tmp_path / f"copy {serial}")
            other = directly(release, source, keyring, serial, tmp_path / f"direct {serial}")
            assert contents(copy.output) == contents(other)
            assert copy.recipient.digest == survey(open_dataset(copy.output)).digest
            assert ledger.one(release.id, str(serial)).digest == copy.recipient.digest
    assert contents(tmp_path / "copy 1") != contents(tmp_path / "copy 12") != contents(source)


def test_only_captions_differ_and_links_are_links(source: Path, home: Keyring, tmp_path: Path) -> None:
    (ann,) = issue(home, "Ann")
    copy = write(home, ann, tmp_path / "ann", link=True)
    before, after = contents(source), contents(copy.output)
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {"metadata.jsonl"}
    pictures = [path for path in copy.output.iterdir() if path.suffix == ".png"]
    assert len(pictures) == COUNT and all(path.samefile(source / path.name) for path in pictures)
    assert copy.changed == COUNT // 2


def test_a_single_tar_becomes_a_single_tar(tmp_path: Path) -> None:
    folder = make_varied_folder(tmp_path / "d", sayable_captions(COUNT))
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    members = [
        member
        for row in rows
        for stem in [row["file_name"].removesuffix(".png")]
        for member in ((f"{stem}.png", (folder / row["file_name"]).read_bytes()), (f"{stem}.txt", row["text"].encode()))
    ]
    tar, keyring = write_tar(tmp_path / "set.tar", members), Keyring(tmp_path / "home")
    options = replace(with_list(WORDING, keyring), recipients=True)
    release = embed(tar, tmp_path / "out.tar", options, keyring, secret=SECRET).release
    (ann,) = issue(keyring, "Ann")
    copy = write(keyring, ann, tmp_path / "ann.tar")
    assert copy.output.is_file() and not list(tmp_path.glob("*.partial"))
    found = release_and_recipient(open_dataset(copy.output), keyring)
    assert found.serial == 1 and found.bound.release.id == release.id
    other = directly(release, tar, keyring, 1, tmp_path / "direct.tar")
    assert other.read_bytes() == copy.output.read_bytes()


def test_all_recipients_are_asked_the_same_and_carry_other_marks(master: tuple[Embedding, Keyring]) -> None:
    done, keyring = master
    made = [overlay(done.release, keyring.store, serial) for serial in range(1, 13)]
    assert all([slot.questions for slot in one.bound.slots] == [s.questions for s in done.bound.slots] for one in made)
    planted = {slot.planted for one in made for slot in one.bound.slots}
    assert len(planted) == 48 and not planted & {slot.planted for slot in done.bound.slots}
    assert not planted & set(np.concatenate([slot.decoys for slot in done.bound.slots]).tolist())
    for serial, one in enumerate(made, 1):
        keys = KeyTree(done.release.secret, done.release.coin, str(serial))
        assert [slot.planted for slot in one.bound.slots] == [keys.slot(k).planted for k in range(4)]


def _sides(release: Release, keyring: Keyring, serial: int) -> np.ndarray:
    """Side of every sample at every site in one copy, 1 or -1, or 0 for none; less the mean; shape (slots, n)."""
    made = overlay(release, keyring.store, serial)
    texts = {record.key: carrier.captions for record, carrier in made.changes()}
    sites = [site_of(slot) for slot in made.bound.slots]
    rows = [
        [site.state(next(iter(texts.get(record.key, record.captions).values()))) for site in sites]
        for record in stored_shared(keyring.store, release.shared).records()
    ]
    sides = np.array([[0 if side is None else 2 * side - 1 for side in row] for row in rows], dtype=float).T
    return sides


def test_what_one_copy_says_tells_nothing_of_another(master: tuple[Embedding, Keyring]) -> None:
    """Captions that no copy changes agree by themselves; what copies change goes both ways alike."""
    done, keyring = master
    original = np.array(stored_shared(keyring.store, done.release.shared).states, dtype=float).T
    before = np.where(original < 0, 0, 2 * original - 1)
    turned = [(_sides(done.release, keyring, serial) != before).astype(float) for serial in range(1, 17)]
    assert all(0.4 < one.any(axis=0).mean() <= 0.5 for one in turned)
    for k in range(4):
        centred = [one[k] - one[k].mean() for one in turned]
        alike = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in combinations(centred, 2)]
        # Pictures at the edge lean far along most directions, so that copies turn them more often: a little in common.
        assert abs(np.mean(alike)) < 0.15 and np.std(alike) < 0.35
        rows = np.array([_leanings(done.release, keyring, serial, k) for serial in range(1, 41)])
        rows -= rows.mean(axis=1, keepdims=True)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        between = (rows @ rows.T)[np.triu_indices(40, 1)]
        assert abs(between.mean()) < 0.05, "directions of looks are independent"


def _leanings(release: Release, keyring: Keyring, serial: int, slot: int) -> np.ndarray:
    bound = bind(release, keyring.store, str(serial))
    shared = stored_shared(keyring.store, release.shared)
    family = bound.slots[slot].family
    looks = family.fitted_looks.of_glances(shared.glances.levels.astype(float))  # type: ignore[attr-defined]
    return np.asarray(family.leanings(looks, bound.slots[slot].planted))  # type: ignore[attr-defined]


def test_no_name_no_term_no_date_and_no_order_of_words_enters_a_copy(home: Keyring, tmp_path: Path) -> None:
    """Whatever is written down about number 1, its copy is the same, and says nothing of it."""
    other = Keyring(tmp_path / "other")
    shutil.copytree(home.home, other.home)
    (quixote,), (ann,) = issue(home, NAME), issue(other, "Ann")
    made = [write(home, quixote, tmp_path / "a"), write(other, ann, tmp_path / "b")]
    assert contents(made[0].output) == contents(made[1].output)
    assert quixote.commitment != ann.commitment
    public = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(home.home)]
    public = [path for path in public if not path.is_relative_to(other.home)]
    assert tmp_path / "a.commitment.json" in public
    for path in public:
        data = path.read_bytes()
        for hidden in (NAME, "uixot", "zzterms", CONTACT, quixote.issued):
            assert hidden.encode() not in data, path
    beside = json.loads((tmp_path / "a.commitment.json").read_text())
    assert beside == release_in(home).public() | {"recipient": quixote.commitment}


def test_a_copy_is_verified_and_its_recipient_told(home: Keyring, source: Path, tmp_path: Path) -> None:
    people = issue(home, *(f"name {n}" for n in range(30)))
    copy = write(home, people[22], tmp_path / "copy")
    opened = open_dataset(copy.output)
    found = release_and_recipient(opened, home)
    assert (found.serial, found.recipient) == (23, "name 22") and found.in_words() == "recipient 23 (name 22)"
    checked = verify(found.bound, opened)
    assert checked.intact == checked.carriers == COUNT // 2 and not checked.findings
    rows = (copy.output / "metadata.jsonl").read_text().splitlines()
    changed = {carrier.key for carrier in found.bound.release.carriers}
    spoilt = next(i for i, row in enumerate(rows) if json.loads(row)["file_name"] in changed)
    rows[spoilt] = (source / "metadata.jsonl").read_text().splitlines()[spoilt]
    (copy.output / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    opened = open_dataset(copy.output)
    found = release_and_recipient(opened, home, recipient="name 22", release=release_in(home).id)
    checked = verify(found.bound, opened)
    assert [f.key for f in checked.findings] == [json.loads(rows[spoilt])["file_name"]]
    assert checked.findings[0].problem == "caption changed"
    with pytest.raises(ReleaseError, match="no release fits"):
        release_and_recipient(open_dataset(source), home)
    with pytest.raises(ReleaseError, match=r"no recipient's copy of .* fits .*\nName one: .* --recipient NUMBER"):
        release_and_recipient(open_dataset(source), home, release=release_in(home).id)
    with pytest.raises(ReleaseError, match="--recipient needs --release"):
        release_and_recipient(opened, home, recipient="3")
    with pytest.raises(InputError, match="no recipient 'name 99'"):
        release_and_recipient(opened, home, release=release_in(home).id, recipient="name 99")


def test_copies_of_retired_releases_are_told_so(home: Keyring, source: Path, tmp_path: Path) -> None:
    master = release_in(home)
    theirs = open_dataset(write(home, issue(home, "Ann", "Bo")[1], tmp_path / "copy").output)
    plain = embed(source, tmp_path / "plain", Options(rate=0.1, slots=2, queries=4, decoys=999), home, anyway=True)
    everybodys = open_dataset(plain.output)
    assert release_and_recipient(everybodys, home).bound.release == plain.release
    home.retire(plain.release)
    assert release_and_recipient(theirs, home).recipient == "Bo"
    home.retire(master)
    for copy, release in ((everybodys, plain.release), (theirs, master)):
        with pytest.raises(ReleaseError, match=f"release {release.id} .* is retired"):
            release_and_recipient(copy, home)
    with pytest.raises(ReleaseError, match="no release fits"):
        release_and_recipient(open_dataset(source), home)


def test_a_part_of_a_copy_and_a_lost_line_tell_the_recipient_still(home: Keyring, tmp_path: Path) -> None:
    copy = write(home, issue(home, "Ann", "Bo")[1], tmp_path / "copy")
    for path in sorted(copy.output.glob("*.png"))[::3]:
        path.unlink()
    rows = (copy.output / "metadata.jsonl").read_text().splitlines()
    kept = [row for row in rows if (copy.output / json.loads(row)["file_name"]).exists()]
    (copy.output / "metadata.jsonl").write_text("\n".join(kept) + "\n")
    opened, release = open_dataset(copy.output), release_in(home)
    nearest = nearest_recipient(opened, release, home, 3_000)
    assert nearest and nearest.serials == (2,) and nearest.chance * 3_000 < 1e-3
    assert release_and_recipient(opened, home).recipient == "Bo"
    (home.home / FOLDER / "recipients.sqlite").unlink()
    found = release_and_recipient(opened, home)
    assert (found.serial, found.recipient) == (2, "not in the ledger")
    assert nearest_recipient(opened, release, home, 0) is None


class _Killed(BaseException):
    """What a run that is killed does not catch."""


@pytest.mark.parametrize("stage", ["writing", "verifying"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    home: Keyring, master: tuple[Embedding, Keyring], tmp_path: Path, stage: str
) -> None:
    ann, bo = issue(home, "Ann", "Bo")

    def die(told: str, done: int, total: int) -> None:
        if told == stage:
            raise _Killed

    with pytest.raises(_Killed):
        write(home, ann, tmp_path / "out", progress=die)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("*.json"))
    with pytest.raises(InputError, match=r"out\.partial is in the way"):
        write(home, bo, tmp_path / "out")
    done = write(home, ann, tmp_path / "out")
    assert contents(done.output) == contents(write(home, ann, tmp_path / "again").output)
    assert not list((home.home / "pending").iterdir()) and not list(tmp_path.glob("*.partial"))
    with pytest.raises(InputError, match="exists already"):
        write(home, ann, tmp_path / "out")


def test_a_stopped_run_makes_one_release(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before its record is kept, it goes on with the same key."""
    keyring = Keyring(tmp_path / "home")
    options = replace(with_list(WORDING, keyring), recipients=True)
    with monkeypatch.context() as patch:
        patch.setattr(Keyring, "save", lambda self, release: (_ for _ in ()).throw(_Killed))
        with pytest.raises(_Killed):
            embed(source, tmp_path / "out", options, keyring, anyway=True)
    published = json.loads((tmp_path / "out.commitment.json").read_text())
    done = embed(source, tmp_path / "out", options, keyring, anyway=True)
    assert done.release.public() == published and keyring.releases() == [done.release]
    with pytest.raises(InputError, match="belongs to another release"):
        embed(source, tmp_path / "out", options, keyring, anyway=True)


def test_what_must_not_be_written_is_refused(home: Keyring, source: Path, tmp_path: Path) -> None:
    ann, bo = issue(home, "Ann", "Bo")
    with open_ledger(home) as ledger:
        ended = ledger.revoke(ann, "did not pay")
        ledger.note_digest(bo, "ab" * 32)
        other = ledger.one(release_in(home).id, "Bo")
    moved = make_varied_folder(tmp_path / "moved", sayable_captions(COUNT))
    with pytest.raises(InputError, match=r"recipient 1 \(Ann\) is revoked since .*: did not pay"):
        write(home, ended, tmp_path / "out")
    with pytest.raises(InputError, match=r"not be the one that recipient 2 \(Bo\) was given before"):
        write(home, other, tmp_path / "out")
    rows = (moved / "metadata.jsonl").read_text()
    (moved / "metadata.jsonl").write_text(rows.replace("dog", "cat", 1))
    with pytest.raises(InputError, match="is not the dataset that release"):
        write(home, bo, tmp_path / "out", dataset=moved)
    (moved / "metadata.jsonl").write_text(rows)
    (tmp_path / "out.commitment.json").write_text("{}")
    with pytest.raises(InputError, match="belongs to another copy"):
        write(home, bo, tmp_path / "out", dataset=moved)
    (tmp_path / "out.commitment.json").unlink()
    before = contents(tmp_path)
    assert write(home, bo, tmp_path / "out", dataset=moved, dry_run=True).changed == COUNT // 2
    assert contents(tmp_path) == before
    assert write(home, bo, tmp_path / "out", dataset=moved).output.is_dir()


def test_a_coin_enters_recipients_marks(source: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    options = replace(with_list(WORDING, keyring), recipients=True)
    waiting = commit(source, tmp_path / "out", options, keyring, Coin("a beacon", "7"), anyway=True)
    assert waiting.plan.recipients and options_of(waiting.plan).recipients and not waiting.complete
    copies = []
    for digits in ("0a", "0b"):
        shutil.copytree(keyring.home, tmp_path / digits)
        own = Keyring(tmp_path / digits)
        target, coin = tmp_path / "out", digits * 32
        done = embed(source, target, options_of(waiting.plan), own, commitment=waiting.id, coin=coin, anyway=True)
        assert done.release.commitment == waiting.commitment and done.release.complete
        assert own.commitments() == ([], []) and own.releases() == [done.release]
        (ann,) = issue(own, "Ann")
        copy = write(own, ann, tmp_path / f"copy {digits}")
        assert contents(copy.output) == contents(directly(done.release, source, own, 1, tmp_path / f"direct {digits}"))
        copies.append(contents(copy.output))
    assert copies[0] != copies[1]


UNFIT = (
    (TWA, "lean, twa cannot tell recipients apart"),
    (replace(WORDING, family_options={"push": 2.0}), "lean, wording with a push cannot tell"),
    (replace(WORDING, besides=(PAINTED,)), "lean, wording, with other marks besides, cannot tell"),
    (replace(WORDING, family="template", alignment="label", slots=1), "template, label cannot tell"),
)


def test_families_whose_copies_would_show_their_carriers_are_refused(source: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    for options, match in UNFIT:
        with pytest.raises(InputError, match=f"^--for-recipients: {match}"):
            embed(source, tmp_path / "out", replace(options, recipients=True), keyring, secret=SECRET)
    assert not list(tmp_path.glob("*.json")) and not keyring.releases()


def test_a_release_for_everybody_is_issued_to_nobody(source: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    done = embed(source, tmp_path / "out", with_list(WORDING, keyring), keyring, secret=SECRET)
    with pytest.raises(InputError, match="has one copy for everybody"):
        overlay(done.release, keyring.store, 1)
