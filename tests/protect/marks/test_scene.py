"""Family `scene`: marks from a pool of generated pictures (its null tests stand with those of all families)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from protect.check.exposure import near_duplicates
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.store import Store
from protect.marks import make_family
from protect.marks.family import Answers, MarkFamily, Pixels
from protect.release.plan import Options
from tests.support.datasets import draw, make_folder
from tests.support.stores import add_pool


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _carriers(law: MarkFamily, mark: int, count: int = 8) -> Pixels:
    pictures = (np.asarray(draw(i, 64, "RGBA")) for i in range(count))
    return np.stack([law.plant(p, mark, np.random.default_rng(i))[..., :3] for i, p in enumerate(pictures)])


def test_the_planted_template_ranks_first_and_its_copies_tie(store: Store) -> None:
    law = make_family("scene", {"pool": add_pool(store)}, store)
    ids = np.random.default_rng(3).integers(0, 2**64, 1000, dtype=np.uint64)
    carriers = _carriers(law, int(ids[0]))
    scores = law.score(Answers(carriers), ids)
    same = ids % 200 == ids[0] % 200
    assert 1 < same.sum() < 20
    assert (scores[same] == scores[0]).all() and scores[0] > scores[~same].max()
    order = np.random.default_rng(0).permutation(1000)
    assert np.array_equal(law.score(Answers(carriers), ids[order]), scores[order])


def test_mirrored_and_refused_answers_do_not_hide_a_template(store: Store) -> None:
    law = make_family("scene", {"pool": add_pool(store)}, store)
    ids = np.arange(200, dtype=np.uint64)
    carriers = _carriers(law, 17)
    scores = law.score(Answers(carriers), ids)
    assert np.array_equal(law.score(Answers(carriers[:, :, ::-1]), ids), scores)
    refused = np.concatenate([carriers[:2], np.zeros((6, 64, 64, 3), np.uint8)])
    assert law.score(Answers(refused), ids).argmax() == 17


def test_what_templates_share_does_not_outvote_what_tells_them_apart(store: Store) -> None:
    rng = np.random.default_rng(5)
    details = ndimage.gaussian_filter(rng.normal(size=(200, 32, 32, 3)), (0, 3, 3, 0)) * 200
    shared = np.linspace(-50, 50, 32)[None, :, None, None] * rng.normal(size=(200, 1, 1, 1))
    templates = np.clip(128 + details + shared, 0, 255).astype(np.uint8)
    law = make_family("scene", {"pool": store.put("pool", templates=templates)}, store)
    # A model that half remembers: the details of template 17, in a light of its own.
    outputs = np.clip(128 + 0.5 * details[17] + shared[[3, 8, 21, 40, 77, 90, 120, 150]], 0, 255).astype(np.uint8)
    assert law.score(Answers(outputs), np.arange(200, dtype=np.uint64)).argmax() == 17
    alike = store.put("pool", templates=np.repeat(templates[:1], 100, axis=0))
    scores = make_family("scene", {"pool": alike}, store).score(Answers(outputs), np.arange(100, dtype=np.uint64))
    assert len(set(scores)) == 1


def test_at_most_two_thirds_of_carriers_are_near_duplicates(store: Store) -> None:
    carriers = list(_carriers(make_family("scene", {"pool": add_pool(store)}, store), 7, count=40))
    assert near_duplicates(carriers) < 0.67 and near_duplicates([carriers[0]] * 2) == 1


def test_a_release_commits_to_its_pool(tmp_path: Path, keyring: Keyring) -> None:
    name = add_pool(keyring.store)
    options = Options(rate=0.2, family="scene", family_options={"pool": name}, slots=2, alpha=0.01)
    done = embed(make_folder(tmp_path / "d", 60), tmp_path / "out", options, keyring, anyway=True)
    assert verify(done.bound, open_dataset(tmp_path / "out")).intact == 12
    assert done.release.plan.parts[0].family_options == {"pool": name}
    assert str(tmp_path) not in str(done.release.public())


def test_one_slot_of_a_small_pool_cannot_give_evidence(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    options = Options(rate=0.2, family="scene", family_options={"pool": add_pool(keyring.store)}, slots=1)
    with pytest.raises(InputError, match="cannot give evidence"):
        embed(source, tmp_path / "out", options, keyring)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def test_bad_pools_are_refused(store: Store) -> None:
    with pytest.raises(InputError, match=r"needs a pool\nMake one: protect pool"):
        make_family("scene", {}, store)
    with pytest.raises(InputError, match="there is no pool"):
        make_family("scene", {"pool": "0" * 64}, store)
    with pytest.raises(InputError, match="not the name of stored pool"):
        make_family("scene", {"pool": "../pools/a"}, store)
    few = store.put("pool", templates=np.zeros((5, 8, 8, 3), np.uint8))
    wrong = store.put("pool", templates=np.zeros((200, 8, 8), np.float64))
    other = store.put("pool", other=np.zeros(3))
    for name in (few, wrong, other):
        with pytest.raises(InputError, match=r"not a pool|A pool is 100"):
            make_family("scene", {"pool": name}, store)
    path = store.folder / "pools" / f"{add_pool(store)}.npz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="damaged"):
        make_family("scene", {"pool": path.stem}, store)
