"""Family `scene`: marks from a pool of generated pictures (its null tests stand with those of all families)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from protect.check.exposure import near_duplicates
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError
from protect.marks import make_family, parse_options
from protect.marks.stored import packed, stored_name, stored_path
from protect.release.plan import Options
from protect.release.record import Keyring
from tests.protect.conftest import add_pool, draw, make_folder


def test_the_planted_template_ranks_first_and_its_copies_tie(keyring: Keyring) -> None:
    law = make_family("scene", {"pool": add_pool(keyring)})
    ids = np.random.default_rng(3).integers(0, 2**64, 1000, dtype=np.uint64)
    carriers = [law.plant(np.asarray(draw(i, 64, "RGBA")), int(ids[0]), np.random.default_rng(i)) for i in range(8)]
    scores = law.score(np.stack(carriers)[..., :3], None, ids)
    same = ids % 200 == ids[0] % 200
    assert 1 < same.sum() < 20
    assert (scores[same] == scores[0]).all() and scores[0] > scores[~same].max()
    order = np.random.default_rng(0).permutation(1000)
    assert np.array_equal(law.score(np.stack(carriers)[..., :3], None, ids[order]), scores[order])


def test_mirrored_and_refused_answers_do_not_hide_a_template(keyring: Keyring) -> None:
    law = make_family("scene", {"pool": add_pool(keyring)})
    ids = np.arange(200, dtype=np.uint64)
    carriers = np.stack([law.plant(np.asarray(draw(i, 64, "RGBA")), 17, np.random.default_rng(i)) for i in range(8)])
    scores = law.score(carriers[..., :3], None, ids)
    assert np.array_equal(law.score(carriers[:, :, ::-1, :3], None, ids), scores)
    refused = np.concatenate([carriers[:2, ..., :3], np.zeros((6, 64, 64, 3), np.uint8)])
    assert law.score(refused, None, ids).argmax() == 17


def test_what_templates_share_does_not_outvote_what_tells_them_apart(keyring: Keyring) -> None:
    rng = np.random.default_rng(5)
    details = ndimage.gaussian_filter(rng.normal(size=(200, 32, 32, 3)), (0, 3, 3, 0)) * 200
    shared = np.linspace(-50, 50, 32)[None, :, None, None] * rng.normal(size=(200, 1, 1, 1))
    templates = np.clip(128 + details + shared, 0, 255).astype(np.uint8)
    law = make_family("scene", {"pool": keyring.store("pool", packed(templates=templates))})
    # A model that half remembers: the details of template 17, in a light of its own.
    outputs = np.clip(128 + 0.5 * details[17] + shared[[3, 8, 21, 40, 77, 90, 120, 150]], 0, 255).astype(np.uint8)
    scores = law.score(outputs, None, np.arange(200, dtype=np.uint64))
    assert scores.argmax() == 17
    alike = keyring.store("pool", packed(templates=np.repeat(templates[:1], 100, axis=0)))
    assert len(set(make_family("scene", {"pool": alike}).score(outputs, None, np.arange(100, dtype=np.uint64)))) == 1


def test_at_most_two_thirds_of_carriers_are_near_duplicates(keyring: Keyring) -> None:
    law = make_family("scene", {"pool": add_pool(keyring)})
    carriers = [law.plant(np.asarray(draw(i, 64, "RGBA")), 7, np.random.default_rng(i))[..., :3] for i in range(40)]
    assert near_duplicates(carriers) < 0.67 and near_duplicates([carriers[0]] * 2) == 1


def test_a_release_commits_to_its_pool(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    name = add_pool(keyring)
    options = Options(rate=0.2, family="scene", family_options={"pool": name}, slots=2, alpha=0.01)
    release = embed(source, tmp_path / "out", options, keyring).release
    assert verify(release, tmp_path / "out").intact == 12
    assert release.plan.family_options == {"pool": name}
    assert str(tmp_path) not in str(release.public_commitment())


def test_one_slot_of_a_small_pool_cannot_give_evidence(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    options = Options(rate=0.2, family="scene", family_options={"pool": add_pool(keyring)}, slots=1)
    with pytest.raises(InputError, match="cannot give evidence"):
        embed(source, tmp_path / "out", options, keyring)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()
    assert embed(source, tmp_path / "out", replace(options, slots=2), keyring, dry_run=True).release.plan.slots == 2


def test_bad_pools_are_refused(tmp_path: Path, keyring: Keyring) -> None:
    with pytest.raises(InputError, match="needs a pool"):
        make_family("scene", {})
    with pytest.raises(InputError, match="no pool"):
        make_family("scene", {"pool": "0" * 64})
    with pytest.raises(InputError, match="not a pool's name"):
        make_family("scene", {"pool": "../pools/a"})
    with pytest.raises(InputError, match="not a number"):
        parse_options("spread", {"psnr": "high"})
    assert parse_options("scene", {"pool": "12e4"}) == {"pool": "12e4"}
    assert parse_options("tint", {"depth": "1e-1"}) == {"depth": 0.1}
    few, other = tmp_path / "few.npz", tmp_path / "other.npz"
    np.savez(few, templates=np.zeros((5, 8, 8, 3), np.uint8))
    np.savez(other, other=np.zeros(3))
    for data in (b"", b"nonsense", few.read_bytes()[:200], few.read_bytes(), other.read_bytes()):
        keyring.folder("pools")
        stored_path("pool", stored_name(data)).write_bytes(data)
        with pytest.raises(InputError, match=r"not a pool|A pool is"):
            make_family("scene", {"pool": stored_name(data)})
    damaged = stored_path("pool", add_pool(keyring))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(InputError, match="damaged"):
        make_family("scene", {"pool": damaged.stem})
