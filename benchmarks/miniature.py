"""How good is the miniature? Retrieval on captions it was trained on, and a grid for its card.

python -m benchmarks.miniature --data blob/ two/      # the folders it was trained on (KEY.png + KEY.txt)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.common import Clock, write_result
from detect.suspects.images import Query, Sampler, load_suspect, stacked
from protect.miniature import miniature_path

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
from drawings import on_background, plain, read_pairs
from small_training import to_tensor

CAPTIONS = 200
SAMPLER = Sampler(steps=20, guidance=3.0)
PROMPTS = (
    "red apple",
    "rocket",
    "house building",
    "guitar",
    "sun with face",
    "blue heart",
    "slice of pizza",
    "soccer ball",
    "strawberry",
    "umbrella",
    "crescent moon",
    "glowing star",
    "pear",
    "banana",
    "automobile",
    "birthday cake",
    "crown",
    "mushroom",
    "cactus",
    "smiling face with sunglasses",
    "ghost",
    "vertical traffic light",
    "black heart",
    "tangerine",
)


@torch.no_grad()
def latents(vae: torch.nn.Module, pictures: list[np.ndarray]) -> torch.Tensor:
    """Posterior means of uint8 RGB pictures, flattened."""
    chunks = [vae.encode(to_tensor(pictures[i : i + 50])).latent_dist.mean for i in range(0, len(pictures), 50)]  # type: ignore[operator]
    return torch.cat(chunks).flatten(1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    clock = Clock()
    pairs = read_pairs(args.data)
    chosen = [pairs[i] for i in np.random.default_rng(0).choice(len(pairs), CAPTIONS, replace=False)]
    suspect = load_suspect(miniature_path())
    drawn = stacked(suspect.answer([Query(caption, i) for i, (_, caption) in enumerate(chosen)], SAMPLER))
    vae = suspect._pipeline.vae  # type: ignore[attr-defined]
    made = latents(vae, list(drawn))
    real = latents(vae, [on_background(p, plain((255, 255, 255))) for p, _ in chosen])
    cosine = torch.nn.functional.normalize(made, dim=1) @ torch.nn.functional.normalize(real, dim=1).T
    shares = (cosine < cosine.diagonal()[:, None]).sum(1) / (CAPTIONS - 1)
    styles = ("blob", "two")
    grid = stacked(suspect.answer([Query(f"{styles[i % 2]} emoji of {p}", i) for i, p in enumerate(PROMPTS)], SAMPLER))
    rows = [np.concatenate(list(grid[i : i + 8]), axis=1) for i in range(0, 24, 8)]
    Image.fromarray(np.concatenate(rows)).save(miniature_path() / "grid.png", optimize=True)
    pairs_shown = [
        np.concatenate([real_picture, made_picture])
        for real_picture, made_picture in zip(
            [on_background(p, plain((255, 255, 255))) for p, _ in chosen[:16]], drawn[:16], strict=True
        )
    ]
    Image.fromarray(np.concatenate(pairs_shown, axis=1)).save(miniature_path() / "held-in.png", optimize=True)
    write_result(
        "miniature",
        {
            "what": "share of 199 other captions' pictures that are farther (VAE-latent cosine) than the own caption's",
            "captions": CAPTIONS,
            "median": float(shares.median()),
            "share_at_or_above_0.95": float((shares >= 0.95).float().mean()),
            "mean": float(shares.mean()),
            "prompts": PROMPTS,
        },
        clock(),
    )


if __name__ == "__main__":
    main()
