"""`protect pool`: draw the templates of family `scene` with a base model, by public seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from detect.suspects.images import Query, Sampler, load_suspect
from detect.trial.answers import cached_outputs
from protect.errors import InputError
from protect.keys.store import Store
from protect.marks.family import Pixels
from protect.marks.scene import FEWEST
from protect.progress import Progress, no_progress
from protect.release.plan import GUIDANCE, STEPS, check_range

_CHUNK = 32
_SIDE = 256
"""Templates are backgrounds behind other things: larger ones would only fill memory."""
_PLAIN = 12.0
"""Templates whose levels vary less (standard deviation) are drawn again: nobody could tell them apart."""
MOST_DRAWS = 4
"""Draws per template before giving up."""


def check_pool(prompts: Sequence[str], count: int, zoom: float, steps: int, guidance: float) -> None:
    """Refuse options that make no sense.

    Raises:
        InputError: naming the value and the allowed range.
    """
    check_range("--count", count, FEWEST, 100_000)
    check_range("--zoom", zoom, 1, 8)
    check_range("--steps", steps, *STEPS)
    check_range("--guidance", guidance, *GUIDANCE)
    if not prompts:
        raise InputError("there are no prompts to draw from", "Give captions, or --prompts with one a line.")


def make_pool(
    base: Path,
    prompts: Sequence[str],
    count: int,
    store: Store,
    cache: Path,
    *,
    zoom: float = 1.0,
    steps: int = 20,
    guidance: float = 3.0,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> str:
    """Draw a pool of templates and keep it; a stopped run resumes.

    Which templates are kept depends on public seeds and on the pictures alone, never on a key: planted template and
    decoys are all drawn from what is kept.

    Args:
        base: diffusers folder of the model that draws.
        prompts: what to draw, in turn.
        count: templates; one slot hardly ever says more than 1 in so many.
        store: gets the pool; embedding and detection look for it in their keyring's store.
        cache: folder for what the base drew.
        zoom: side of the picture over that of the window which is kept; for models that paint things on plain ground.
        steps: sampling steps.
        guidance: guidance scale.
        device: where to sample.
        progress: called with (stage, done, total).

    Returns:
        The pool's name, for `--option pool=NAME`.

    Raises:
        InputError: if options are out of range, or the base draws hardly anything but plain pictures.
        SuspectError: if `base` cannot be loaded.
    """
    check_pool(prompts, count, zoom, steps, guidance)
    model = load_suspect(base, device=device)
    kept: list[Pixels] = []
    for start in range(0, MOST_DRAWS * count, _CHUNK):
        queries = [Query(prompts[i % len(prompts)], i) for i in range(start, start + _CHUNK)]
        drawn = cached_outputs(model, queries, Sampler(steps=steps, guidance=guidance), cache)
        windows = (_window(picture, zoom, query.seed) for picture, query in zip(drawn, queries, strict=True))
        kept += [window for window in windows if window.std(axis=(0, 1)).mean() >= _PLAIN]
        progress("drawing templates", min(len(kept), count), count)
        if len(kept) >= count:
            break
    else:
        raise InputError(
            f"{base} drew {len(kept)} templates that are not plain, of {count} wanted", "Use other prompts or a --zoom."
        )
    return store.put("pool", templates=np.stack(kept[:count]))


def _window(picture: Pixels, zoom: float, seed: int) -> Pixels:
    """A window of a picture, at a place drawn by the seed, as a square of at most `_SIDE` pixels."""
    sides = np.array(picture.shape[:2])
    inner = np.round(sides / zoom).astype(int)
    y, x = np.random.default_rng(seed).integers(0, sides - inner + 1)
    window = Image.fromarray(picture[y : y + inner[0], x : x + inner[1]])
    side = min(_SIDE, *picture.shape[:2])
    return np.asarray(window.resize((side, side), Image.Resampling.BICUBIC))
