"""Which pictures can carry a mark: decided by the picture alone, and in step with what really reads back."""

from __future__ import annotations

import inspect
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from protect.embed.score import scored_view
from protect.keys.store import Store
from protect.marks import BUILT_IN, make_family
from protect.marks.family import Answers, MarkFamily, Pixels
from protect.marks.legibility import is_grey, standing
from protect.pixels.measure import on_white
from tests.support.datasets import draw
from tests.support.pictures import darkened, grey, noise, opaque, photograph, plain, smooth, window
from tests.support.stores import add_basis, add_pool, stored_options

CODECS = ["dwtdct", "dwtdctsvd", *(["rivagan"] if find_spec("onnxruntime") else [])]
PAIRED = ["spread", "latent", "tint", "warp"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def _made(name: str, store: Store) -> MarkFamily:
    return make_family(name, stored_options(name, store), store)


def _white_ground(index: int = 0, size: int = 64) -> Pixels:
    return np.asarray(draw(index, size).convert("RGBA"))


def _edge() -> Pixels:
    """White and black halves."""
    picture = plain(255)
    picture[:, :32, :3] = 20
    return picture


REFUSED = {
    "template": {"grey": grey(photograph(0)), "a pencil drawing": grey(_white_ground())},
    "card": {"grey": grey(photograph(0)), "black": plain(0)},
    "spread": {
        "transparent": plain(128, alpha=0),
        "faint": plain(128, alpha=5),
        "a speck": window(photograph(0), 0.01),
    },
    "latent": {
        "black": plain(0),
        "white": plain(255),
        "transparent": plain(128, alpha=0),
        "a speck": window(photograph(0), 0.03),
    },
    "tint": {
        "black": plain(0),
        "nearly black": darkened(photograph(0), 0.005),
        "transparent": plain(128, alpha=0),
        "half transparent": window(photograph(0), 0.4),
    },
    "warp": {
        "plain": plain((200, 40, 40)),
        "transparent": plain(128, alpha=0),
        "a speck": window(photograph(0), 0.01),
        "rounding noise": opaque(128 + 0.4 * np.random.default_rng(0).normal(size=(400, 400, 3))),
    },
    "dwtdct": {"grey": grey(photograph(0)), "transparent": window(photograph(0), 0.2), "white": plain(255, 300, 300)},
    "dwtdctsvd": {"grey": grey(photograph(0)), "transparent": window(photograph(0), 0.2)},
    "rivagan": {"grey": grey(photograph(0)), "black": darkened(photograph(0), 0.01)},
}
TAKEN = {
    "template": {"a photograph": photograph(0), "white ground": _white_ground(), "a sticker": window(noise(0), 0.3)},
    "card": {"a photograph": photograph(0), "white ground": _white_ground(), "a sticker": window(noise(0), 0.3)},
    "frame": {"a photograph": photograph(0), "grey": grey(photograph(0)), "nothing but ground": plain(255)},
    "scene": {"a photograph": photograph(0), "grey": grey(photograph(0)), "a sticker": window(noise(0), 0.3)},
    "spread": {
        "a photograph": photograph(0),
        "grey": grey(photograph(0)),
        "white ground": _white_ground(),
        "black, for it becomes lighter": plain(0),
        "half transparent": window(photograph(0), 0.5),
        "dark": darkened(photograph(0), 0.05),
    },
    "latent": {
        "a photograph": photograph(0),
        "white ground": _white_ground(),
        "half transparent": window(photograph(0), 0.6),
        "dark": darkened(photograph(0), 0.1),
    },
    "tint": {
        "a photograph": photograph(0),
        "white ground": _white_ground(),
        "plain, for light falls on it": plain((200, 40, 40)),
        "dark": darkened(photograph(0), 0.1),
    },
    "warp": {
        "a photograph": photograph(0),
        "grey": grey(photograph(0)),
        "half transparent": window(photograph(0), 0.5),
    },
    "dwtdct": {"smooth": smooth(0), "another": smooth(2)},
    "dwtdctsvd": {"a photograph": photograph(0), "smooth": smooth(0), "half transparent": window(photograph(0), 0.7)},
    "rivagan": {"a photograph": photograph(0), "another": photograph(1)},
}


def _cases(table: dict[str, dict[str, Pixels]]) -> list[object]:
    skipped = set() if find_spec("onnxruntime") else {"rivagan"}
    return [
        pytest.param(family, picture, id=f"{family}: {what}")
        for family, pictures in table.items()
        if family not in skipped
        for what, picture in pictures.items()
    ]


@pytest.mark.parametrize(("family", "picture"), _cases(REFUSED))
def test_pictures_that_would_carry_nothing_are_refused(family: str, picture: Pixels, store: Store) -> None:
    reason = _made(family, store).obstacle(picture)
    assert reason and "\n" not in reason


@pytest.mark.parametrize(("family", "picture"), _cases(TAKEN))
def test_pictures_that_can_carry_are_taken(family: str, picture: Pixels, store: Store) -> None:
    assert _made(family, store).obstacle(picture) is None


def _above_decoys(law: MarkFamily, picture: Pixels, mark: int) -> float:
    """Standard deviations by which a planted mark's score lies above those of 500 others."""
    ids = np.random.default_rng(5).integers(0, 2**64, 501, dtype=np.uint64)
    ids[0] = mark
    marked = law.plant(picture, mark, np.random.default_rng(0))
    marked = grey(marked) if is_grey(picture) else marked
    before = scored_view(law, on_white(picture)) if law.paired else None
    scores = law.score(Answers(scored_view(law, on_white(marked)), before), ids)
    spread = scores[1:].std()
    return float((scores[0] - scores[1:].mean()) / spread) if spread > 0 else 0.0


@pytest.mark.parametrize("family", [*PAIRED, "template", "card", "frame", *CODECS])
def test_marks_read_clearly_from_pictures_that_are_taken(family: str, store: Store) -> None:
    law = _made(family, store)
    if family == "latent":
        law = make_family("latent", {"basis": add_basis(store, 128)}, store)
    taken = [p for p in _varied(law.min_side) if law.obstacle(p) is None]
    heights = [np.mean([_above_decoys(law, p, mark) for mark in (3, 4, 5)]) for p in taken]
    assert len(taken) >= 4 and min(heights) > (1.7 if family == "warp" else 2.5), heights


@pytest.mark.parametrize("family", PAIRED)
def test_marks_hardly_read_from_pictures_that_are_refused(family: str, store: Store) -> None:
    law = _made(family, store)
    faint = plain(128, alpha=5)  # refused though marks read: nobody sees such a picture
    refused = [p for p in _varied(law.min_side) if law.obstacle(p) and not np.array_equal(p, faint)]
    heights = [np.mean([_above_decoys(law, p, mark) for mark in (3, 4, 5)]) for p in refused]
    assert len(refused) >= 2 and max(heights) < 4, heights


def _varied(min_side: int) -> list[Pixels]:
    """Pictures of all kinds, from easy to hopeless."""
    if min_side > 64:
        some = [photograph(0), photograph(1, 300, 600), smooth(2), smooth(3), _white_ground(1, 300)]
        return [*some, *(window(p, 0.7) for p in some[:2]), *(darkened(p, 0.3) for p in some[:2])]
    photographs = [photograph(seed, 96, 128) for seed in range(3)]
    changed = [darkened(photographs[0], factor) for factor in (0.5, 0.1, 0.03, 0.01, 0)]
    cut = [window(photographs[1], share) for share in (0.7, 0.4, 0.2, 0.1, 0.02, 0.005)]
    ones = [plain(level) for level in (0, 3, 128, 255)]
    return [*photographs, *changed, *cut, *ones, grey(photographs[2]), _white_ground(), _edge(), noise(0)]


def test_no_obstacle_is_told_a_mark(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule sees the picture alone: it has no other argument, draws no signs and plants nothing."""

    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("a mark was drawn to decide whether a picture can carry one")

    laws = [_made(name, store) for name in BUILT_IN if name != "rivagan" or find_spec("onnxruntime")]
    modules = ("spread", "latent", "tint", "warp", "template", "codecs", "sign_vectors")
    for module in modules:
        monkeypatch.setattr(f"protect.marks.{module}.sign_vectors", forbidden)
    for law in laws:
        for method in ("plant", "message", "pattern", "coefficients", "code", "background"):
            if method in dir(type(law)):
                monkeypatch.setattr(type(law), method, forbidden)
        assert list(inspect.signature(law.obstacle).parameters) == ["picture"]
        for picture in (photograph(0), plain(0), window(photograph(0), 0.1), noise(0, 10, 10)):
            picture.setflags(write=False)
            assert law.obstacle(picture) == law.obstacle(picture.copy())


def test_obstacles_follow_the_options_of_a_family() -> None:
    """A deeper change of light is seen in darker pictures."""
    dark = darkened(photograph(0), 0.04)
    assert make_family("tint", {"depth": 0.01}).obstacle(dark)
    assert make_family("tint", {"depth": 0.12}).obstacle(dark) is None


def test_large_pictures_are_judged_like_small_ones(store: Store) -> None:
    large = photograph(0, 1100, 1500)
    for family in (*PAIRED, "dwtdctsvd"):
        law = _made(family, store)
        assert law.obstacle(large) is None
        assert law.obstacle(window(large, 0.02))


def test_a_pool_does_not_matter_to_what_a_scene_can_stand_behind(store: Store) -> None:
    law = make_family("scene", {"pool": add_pool(store)}, store)
    assert all(law.obstacle(p) is None for p in _varied(law.min_side))


def test_standing_is_what_it_says_it_is() -> None:
    """For a linear response of any kind the formula gives the mean height of a mark's score above decoys'."""
    from protect.marks.legibility import SIDE, Kept

    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(SIDE * SIDE * 3, 40)))[0].T
    gain, bias = rng.uniform(0, 1, (SIDE, SIDE, 3)), 0.02 * rng.normal(size=(SIDE, SIDE, 3))
    amplitudes, weights = rng.uniform(1, 2, 40), rng.uniform(1, 2, 40)
    signs = rng.choice([-1.0, 1.0], (4000, 40))
    changes = (signs * amplitudes) @ basis * gain.ravel() + bias.ravel()
    features = weights * (changes @ basis.T)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    heights = (features * signs).sum(axis=1)  # decoys' scores would have mean 0 and standard deviation 1
    kept = Kept(gain, bias, np.zeros_like(gain))
    assert abs(standing(kept, basis, amplitudes, weights, grey=False) / heights.mean() - 1) < 0.03
