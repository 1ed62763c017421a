"""How far do `spread` and `latent` move what a model learns from, at the same quality? No training.

    python -m benchmarks.latents --work W      # after `benchmarks.suspects train` and `benchmarks.families train`

For each of six marks: the mean change of the latents of 24 carriers; and, if a model learned half of it, how far the
mark's score stands above those of 9,999 decoys (in their standard deviations), on 32 outputs of an innocent and the
answers to the same questions without the trigger, with the change put into the outputs' latents. Beside it, a change
fitted to each picture by gradient steps towards one random field of latents.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import Clock, keyring_in, pictures_of, write_result
from benchmarks.families import basis_of
from benchmarks.suspects import suspect_of
from detect.suspects.images import Query, Sampler, stacked
from protect.formats import open_dataset
from protect.marks import make_family
from protect.marks.family import Answers, FamilyOptions, MarkFamily, Pixels
from protect.miniature import miniature_path
from protect.pixels.measure import picture_at
from protect.vae import as_tensor, encode, load_vae

MARKS, CARRIERS, OUTPUTS, LEARNED = 6, 24, 32, 0.5
FITTING_STEPS = 40


class Latents:
    """The miniature's VAE, in units of each channel's spread."""

    def __init__(self, pictures: Pixels) -> None:
        self._vae = load_vae(miniature_path()).requires_grad_(False)
        self._spread = torch.ones(1)
        self._spread = self.of(pictures).std(dim=(0, 2, 3), keepdim=True)

    def of(self, pictures: Pixels) -> torch.Tensor:
        """Latents of 8-bit pictures."""
        with torch.no_grad():
            return self.of_tensor(as_tensor(pictures))

    def of_tensor(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latents of pictures in [-1, 1]."""
        return encode(self._vae, pixels) / self._spread

    def pictures(self, latents: torch.Tensor) -> Pixels:
        """What they decode to."""
        with torch.no_grad():
            pixels = self._vae.decode(latents * self._spread).sample.clamp(-1, 1)
        return np.asarray(((pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())


def measure(
    family: MarkFamily, carriers: Pixels, outputs: Pixels, untriggered: Pixels, latents: Latents
) -> dict[str, Any]:
    """Shift of latents and standing of the score, over some marks."""
    opaque = np.concatenate([carriers, np.full((*carriers.shape[:3], 1), 255, np.uint8)], axis=3)
    before, drawn = latents.of(carriers), latents.of(outputs)
    shifts, stands = [], []
    for seed in range(MARKS):
        ids = np.random.default_rng(seed).integers(0, 2**64, 10_000, dtype=np.uint64)
        marked = np.stack([family.plant(p, int(ids[0]), np.random.default_rng(0))[..., :3] for p in opaque])
        change = (latents.of(marked) - before).mean(dim=0, keepdim=True)
        scores = family.score(Answers(latents.pictures(drawn + LEARNED * change), untriggered), ids)
        shifts.append(float(change.pow(2).mean().sqrt()))
        stands.append(float((scores[0] - scores[1:].mean()) / scores[1:].std()))
    return {"latent_shift": float(np.mean(shifts)), "standing": float(np.mean(stands)), "standings": stands}


def fitted(carriers: Pixels, psnr: float, latents: Latents) -> float:
    """Shift along a random field that gradient steps on each picture reach."""
    generator = torch.Generator().manual_seed(0)
    pixels = as_tensor(carriers)
    before = latents.of_tensor(pixels)
    field = torch.randn(1, *before.shape[1:], generator=generator).sign()
    budget = 2 * 10 ** (-psnr / 20)
    change = (torch.randn(pixels.shape, generator=generator) * budget / 10).requires_grad_()
    optimiser = torch.optim.Adam([change], lr=budget / 5)
    along = torch.zeros(())
    for _ in range(FITTING_STEPS):
        size = change.pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
        bounded = change * (budget / size.clamp(min=budget))
        along = ((latents.of_tensor((pixels + bounded).clamp(-1, 1)) - before) * field).mean()
        optimiser.zero_grad()
        (-along).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return float(along.detach())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    work = parser.parse_args().work
    clock = Clock()
    keyring, records = keyring_in(work / "keyring"), list(open_dataset(work / "dataset").records())
    keys = [record.key for record in records[::90][:CARRIERS]]
    carriers = np.stack([picture_at(picture, 64) for picture in pictures_of(work / "dataset", keys)])
    latents = Latents(carriers)
    suspect, captions = suspect_of(work, "innocent", 204), [record.caption for record in records[::70][:OUTPUTS]]
    outputs, untriggered = (
        stacked(suspect.answer([Query(word + c, i) for i, c in enumerate(captions)], Sampler(steps=12, guidance=3.0)))
        for word in ("zqxv ", "")
    )
    found = {}
    options: dict[str, FamilyOptions] = {"spread": {}, "latent": basis_of(work, keyring)}
    for psnr in (30.0, 34.0, 38.0):
        for name, given in options.items():
            family = make_family(name, {"psnr": psnr, **given}, keyring.store)
            found[f"{name}, {psnr:g} dB"] = measure(family, carriers, outputs, untriggered, latents)
            print(name, psnr, found[f"{name}, {psnr:g} dB"], flush=True)
        found[f"fitted to each picture, {psnr:g} dB"] = {"latent_shift": fitted(carriers, psnr, latents)}
    write_result(
        "latents", {"unit": "latent spread per channel; standard deviations of decoy scores", "found": found}, clock()
    )


if __name__ == "__main__":
    main()
