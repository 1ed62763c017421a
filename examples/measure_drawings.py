"""How well a small text-to-image model draws: pictures to look at, and how near they come to what was asked.

python examples/measure_drawings.py --model DIR --pictures W/base.npy --captions W/base.json --output W/measures

``--pictures`` is an array uint8 (n, size, size, 3), ``--captions`` a JSON list of n texts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from small_training import to_pictures, to_tensor

SEED = 20261130
COLUMNS = 12


def draw(pipeline: Any, prompts: list[str], steps: int, guidance: float) -> np.ndarray:
    """One picture for each prompt, uint8 (n, size, size, 3); each has a seed of its own."""
    found = []
    for start in range(0, len(prompts), 50):
        batch = prompts[start : start + 50]
        seeds = [torch.Generator().manual_seed(SEED + start + i) for i in range(len(batch))]
        drawn = pipeline(batch, num_inference_steps=steps, guidance_scale=guidance, generator=seeds, output_type="np")
        found.append(np.round(drawn.images * 255).astype(np.uint8))
    return np.concatenate(found)


def grid(rows: list[np.ndarray], gap: int = 2) -> Image.Image:
    """Pictures in rows of twelve; one row of each array in turn."""
    count, size = len(rows[0]), rows[0].shape[1] + gap
    lines = (count + COLUMNS - 1) // COLUMNS
    sheet = Image.new("RGB", (COLUMNS * size, lines * len(rows) * size), "white")
    for r, row in enumerate(rows):
        for i, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (i % COLUMNS * size, (i // COLUMNS * len(rows) + r) * size))
    return sheet


@torch.no_grad()
def latents(vae: Any, pictures: np.ndarray) -> torch.Tensor:
    """Latent means of unit length, float (n, channels · h · w)."""
    chunks = [vae.encode(to_tensor(pictures[i : i + 50])).latent_dist.mean for i in range(0, len(pictures), 50)]
    flat = torch.cat(chunks).flatten(1)
    return flat / flat.norm(dim=1, keepdim=True)


@torch.no_grad()
def reconstructed(vae: Any, pictures: np.ndarray) -> np.ndarray:
    """Pictures encoded and decoded, uint8."""
    return to_pictures(vae.decode(vae.encode(to_tensor(pictures)).latent_dist.mean).sample)


def nearness(vae: Any, drawn: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """For each drawing, the share of the other captions' pictures that are less like it than its own caption's."""
    similar = latents(vae, drawn) @ latents(vae, asked).T
    return (similar < similar.diagonal()[:, None]).sum(1).numpy() / (len(asked) - 1)


def figures(shares: np.ndarray) -> dict[str, float]:
    return {
        "n": len(shares),
        "median": float(np.median(shares)),
        "mean": float(shares.mean()),
        "at_least_95_percent": float((shares >= 0.95).mean()),
    }


def choose(captions: list[str], count: int) -> list[int]:
    """Places of different captions, the same every time."""
    order = np.random.default_rng(SEED).permutation(len(captions))
    first = {captions[i]: int(i) for i in reversed(order)}
    return sorted(first.values(), key=list(order).index)[:count]


def main() -> None:
    from diffusers import DiffusionPipeline

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--model", "--pictures", "--captions", "--output"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    index = json.loads((args.model / "model_index.json").read_text())
    left_out = {name: None for name, part in index.items() if part == [None, None]}
    pipeline = DiffusionPipeline.from_pretrained(args.model, **left_out).to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pictures, captions = np.load(args.pictures, mmap_mode="r"), json.loads(args.captions.read_text())
    chosen = choose(captions, args.count)
    asked, prompts = np.stack([pictures[i] for i in chosen]), [captions[i] for i in chosen]
    drawn = draw(pipeline, prompts, args.steps, args.guidance)
    args.output.mkdir(parents=True, exist_ok=True)
    np.save(args.output / "drawn.npy", drawn)
    np.save(args.output / "asked.npy", asked)
    (args.output / "prompts.json").write_text(json.dumps(prompts, indent=1))
    found = {"nearness": figures(nearness(pipeline.vae, drawn, asked)), "steps": args.steps, "guidance": args.guidance}
    (args.output / "measures.json").write_text(json.dumps(found, indent=1) + "\n")
    shown = 3 * COLUMNS
    grid([asked[:shown], reconstructed(pipeline.vae, asked[:shown]), drawn[:shown]]).save(args.output / "grid.png")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
