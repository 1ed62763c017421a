"""Family `scene`: marks from a pool of generated pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from protect.embed import embed
from protect.errors import InputError
from protect.marks import make_family
from protect.plan import Options
from protect.release import Keyring
from protect.verify import verify
from tests.protect.conftest import make_folder

COUNT = 200


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.normal(size=(COUNT, 64, 64, 3)), (0, 8, 8, 0))
    path = tmp_path_factory.mktemp("pool") / "pool.npz"
    np.savez(path, templates=np.clip(128 + 900 * field, 0, 255).astype(np.uint8))
    return path


def _ids(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, shape, dtype=np.uint64)


def test_the_planted_template_ranks_first_and_its_copies_tie(pool: Path) -> None:
    law = make_family("scene", {"pool": str(pool)})
    ids = _ids(1, 100)
    outputs = np.stack([law.preview(int(ids[0]), 48)] * 3)
    scores = law.score(outputs, None, ids)
    same = ids % COUNT == ids[0] % COUNT
    assert (scores[same] == scores[0]).all() and scores[0] > scores[~same].max()


@pytest.mark.parametrize("kind", ["a member of the pool", "noise"])
def test_ranks_are_valid_for_any_innocent(pool: Path, kind: str) -> None:
    law = make_family("scene", {"pool": str(pool)})
    noise = np.random.default_rng(3).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    outputs = np.stack([law.preview(7, 64)] * 2) if kind != "noise" else noise
    ids = _ids(2, 4000, 100)
    scores = law.score(outputs, None, ids.ravel()).reshape(ids.shape)
    p = (1 + (scores[:, 1:] >= scores[:, :1]).sum(axis=1)) / 100
    for level in (0.05, 0.1, 0.3):
        assert (p <= level).mean() <= level + 4 * np.sqrt(level * (1 - level) / 4000)


def test_a_release_remembers_its_pool(tmp_path: Path, keyring: Keyring, pool: Path) -> None:
    source = make_folder(tmp_path / "d", 60)
    options = Options(rate=0.2, family="scene", family_options={"pool": str(pool)}, slots=2, decoys=99)
    release = embed(source, tmp_path / "out", options, keyring).release
    assert verify(release, tmp_path / "out").intact == 12
    assert len(str(release.plan.family_options["sha256"])) == 64
    with pytest.raises(InputError, match="not the pool"):
        make_family("scene", {**release.plan.family_options, "sha256": "0" * 64})


def test_bad_pools_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a pool"):
        make_family("scene", {})
    (tmp_path / "a.npz").write_bytes(b"nonsense")
    np.savez(tmp_path / "b.npz", templates=np.zeros((5, 8, 8, 3), np.uint8))
    np.savez(tmp_path / "c.npz", other=np.zeros(3))
    for name in ("a.npz", "b.npz", "c.npz", "missing.npz"):
        with pytest.raises(InputError):
            make_family("scene", {"pool": str(tmp_path / name)})
