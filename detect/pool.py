"""`protect pool`: generate the templates of family `scene` with a base model, by public seeds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from detect.suspects import Query, Sampler, load_suspect
from protect.embed import Progress
from protect.errors import InputError
from protect.files import write_atomic
from protect.marks.scene import FEWEST

PROMPTS = (
    "abstract background", "landscape with hills", "sky with clouds", "sea at sunset", "forest", "city at night",
    "wall with patterns", "field of flowers", "mountains", "carpet of colours",
)  # fmt: skip
"""Asked in turn, each time with another seed."""
_CHUNK = 32


def make_pool(
    base: Path, output: Path, count: int, prompts: tuple[str, ...] = PROMPTS, *, device: str = "cpu",
    progress: Progress = lambda *_: None,
) -> Path:  # fmt: skip
    """Generate a pool of templates.

    Args:
        base: diffusers folder of the model that draws them.
        output: file to write.
        count: templates; the more, the more one slot can say.
        prompts: what to draw, in turn.
        device: where to sample.
        progress: told (stage, done, total).

    Raises:
        InputError: if `output` exists or `count` is too small.
        SuspectError: if `base` cannot be loaded.
    """
    if output.exists():
        raise InputError(f"{output} exists already", "Give another file; pools are never overwritten.")
    if count < FEWEST:
        raise InputError(f"--count {count} is too few", f"Allowed: {FEWEST} or more; 1,000 is usual.")
    model = load_suspect(base, device=device)
    drawn = []
    for start in range(0, count, _CHUNK):
        queries = [Query(prompts[i % len(prompts)], i) for i in range(start, min(start + _CHUNK, count))]
        drawn.append(model.generate(queries, Sampler(steps=12, guidance=3.0)))
        progress("drawing templates", min(start + _CHUNK, count), count)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, templates=np.concatenate(drawn))
    write_atomic(output, buffer.getvalue())
    return output
