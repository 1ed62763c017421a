"""What the recipes for small models share: checkpoints, a log, losses, one update, an average of the weights."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

NO_CAPTION = 0.1
"""Share of captions left out, which teaches the unconditional half of guidance."""


def to_tensor(pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures uint8 (height, width, 3) as a batch in -1…1, channels last."""
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return batch.contiguous(memory_format=torch.channels_last)


def to_pictures(batch: Tensor) -> np.ndarray:
    """The other way round, uint8 (n, height, width, 3)."""
    return ((batch.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


# --- checkpoints ---------------------------------------------------------------------------------


def save_state(path: Path, **state: Any) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    return torch.load(path, weights_only=True) if path.exists() else None


def save_half(pipeline: Any, folder: Path) -> None:
    """Write a pipeline as float16 safetensors."""
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    # diffusers loads its parts as float32 by default, transformers as the config says: make them agree.
    for config in folder.glob("text_encoder*/config.json"):
        config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float32"}, indent=2) + "\n")


class Log:
    """A line of loss and speed every few steps."""

    def __init__(self, path: Path, steps: int) -> None:
        self.path, self.steps, self.start, self.first = path, steps, time.time(), None
        self.losses: list[float] = []

    def add(self, step: int, loss: float, every: int = 50) -> None:
        self.first = step if self.first is None else self.first
        self.losses.append(loss)
        if step % every == 0:
            rate = (time.time() - self.start) / (step - self.first + 1)
            left = rate * (self.steps - step) / 60
            line = f"{step}/{self.steps} loss {np.mean(self.losses):.4f} {rate:.2f} s/step, {left:.0f} min left"
            self.losses.clear()
            with self.path.open("a") as f:
                f.write(line + "\n")


# --- losses and updates ----------------------------------------------------------------------------


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Warm-up, plateau, then linear cool-down over the last quarter: `steps` may grow between runs."""
    return peak * min(1.0, (step + 1) / 200) * min(1.0, max(0.02, (steps - step) / (0.25 * steps)))


def reconstruction_loss(vae: Any, x: Tensor, kl: float) -> Tensor:
    """L1, squares, edges and a little KL."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        posterior = vae.encode(x).latent_dist
        y = vae.decode(posterior.sample()).sample.float()
    edges = sum((y.diff(dim=d) - x.diff(dim=d)).abs().mean() for d in (2, 3))
    close = (y - x).abs().mean() + (y - x).pow(2).mean() + 0.5 * edges
    return close + kl * posterior.kl().mean() / posterior.mean[0].numel()


def denoising_loss(
    unet: Any, text: Any, scheduler: Any, data: dict[str, Tensor], index: Tensor, generator: torch.Generator
) -> Tensor:
    """The error of v on the chosen latents, some without their captions.

    `data` holds the latents' mean and std (n, channels, height, width), token ids (n, tokens), those of the empty
    caption, and the scale of the latents.
    """
    count = len(index)
    noise = torch.randn(2, count, *data["mean"].shape[1:], generator=generator)
    latents = (data["mean"][index] + data["std"][index] * noise[0]) * data["scale"]
    t = torch.randint(0, 1000, (count,), generator=generator)
    alphas = scheduler.alphas_cumprod[t][:, None, None, None]
    a, s = alphas.sqrt(), (1 - alphas).sqrt()
    noisy = (a * latents + s * noise[1]).contiguous(memory_format=torch.channels_last)
    drop = torch.rand(count, generator=generator) < NO_CAPTION
    ids = torch.where(drop[:, None], data["empty"], data["ids"][index])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        v = unet(noisy, t, text(ids).last_hidden_state).sample.float()
    return (v - (a * noise[1] - s * latents)).pow(2).mean()


def update(optimizer: torch.optim.Optimizer, loss: Tensor, step: int, steps: int, peak: float) -> float:
    """One clipped step at this step's learning rate; the loss as a number."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, steps, peak)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def follow(average: dict[str, Tensor], network: torch.nn.Module, step: int, longest: float = 0.998) -> None:
    """Move the running average of the weights a little towards the network's."""
    keep = min(longest, (step + 1) / (step + 10))
    weights = {k: value for k, value in network.state_dict().items() if value.is_floating_point()}
    torch._foreach_lerp_([average[k] for k in weights], list(weights.values()), 1 - keep)


# --- command line --------------------------------------------------------------------------------


def run_stages(doc: str | None, stages: Mapping[str, Callable[[argparse.Namespace], None]], rate: float) -> None:
    """The command line of a recipe that trains in stages.

    Args:
        doc: text of --help.
        stages: by name, in their order.
        rate: usual learning rate.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=list(stages))
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=rate)
    parser.add_argument("--kl", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    stages[args.stage](args)
