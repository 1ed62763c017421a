"""Go on training the miniature on photographs: a test bed for fine-tuning that draws no emoji.

Stages (each resumes from its last checkpoint under ``--work``)::

    python examples/train_photographs.py data    --data FILE... --work W
    python examples/train_photographs.py vae     --work W --steps 1500
    python examples/train_photographs.py unet    --work W --steps 12000
    python examples/train_photographs.py export  --work W
    python examples/train_photographs.py measure --work W

``--data`` names parquet files with the columns ``image`` and ``class`` (CIFAR-10 as it lies on dataset hubs) and tars
of ``KEY.jpg`` with ``KEY.txt`` ("a photo of a …"). Ten thousand pictures are left out of the training, as a dataset
for fine-tuning (``W/tune``), and a thousand for measures; the model is ``W/model``.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from caption_photographs import caption
from PIL import Image, ImageOps
from small_training import (
    Log,
    denoising_loss,
    follow,
    load_state,
    reconstruction_loss,
    run_stages,
    save_half,
    save_state,
    to_tensor,
    update,
)

SIZE, TOKENS, SEED = 64, 40, 20261128
TUNE, HELD_OUT = 10_000, 1_000
BASE = Path(__file__).parents[1] / "protect/assets/miniature"


# --- data ---------------------------------------------------------------------------------------


def read_photographs(path: Path) -> Iterator[tuple[bytes, str]]:
    """Picture files and what they show."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        for row in pq.read_table(path).to_pylist():
            yield row["image"]["bytes"], row["class"]
        return
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
    for name, data in files.items():
        if name.endswith(".jpg"):
            text = files[name.removesuffix(".jpg") + ".txt"].decode().strip()
            yield data, text.removeprefix("a photo of a ").removeprefix("a photo of an ")


def squared(data: bytes) -> np.ndarray:
    """The middle of a picture, uint8 (64, 64, 3)."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(ImageOps.fit(picture, (SIZE, SIZE), method=Image.Resampling.LANCZOS))


def make_data(args: argparse.Namespace) -> None:
    """Split by the hash of the file; repeats count once."""
    unique = {sha256(data).digest(): (data, noun) for path in args.data for data, noun in read_photographs(path)}
    ordered = [unique[key] for key in sorted(unique)]
    pictures = np.stack([squared(data) for data, _ in ordered])
    captions = [caption(picture, noun) for picture, (_, noun) in zip(pictures, ordered, strict=True)]
    first, last = HELD_OUT, HELD_OUT + TUNE
    parts = {"heldout": slice(0, first), "tune": slice(first, last), "base": slice(last, None)}
    for name, part in parts.items():
        np.save(args.work / f"{name}.npy", pictures[part])
        (args.work / f"{name}.json").write_text(json.dumps(captions[part]))
    write_folder(args.work / "tune", pictures[parts["tune"]], captions[parts["tune"]])
    print(f"{len(pictures)} photographs, {len(set(captions))} different captions")


def write_folder(folder: Path, pictures: np.ndarray, captions: list[str]) -> None:
    """A dataset of JPEG files with `metadata.jsonl`."""
    folder.mkdir(exist_ok=True)
    names = [f"{number:05}.jpg" for number in range(len(captions))]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / name, quality=95)
    rows = [json.dumps({"file_name": n, "text": c}) for n, c in zip(names, captions, strict=True)]
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def read_split(work: Path, name: str) -> tuple[np.ndarray, list[str]]:
    return np.load(work / f"{name}.npy", mmap_mode="r"), json.loads((work / f"{name}.json").read_text())


# --- stages ---------------------------------------------------------------------------------------


def load_base() -> Any:
    from diffusers import StableDiffusionPipeline
    from diffusers.models.attention_processor import AttnProcessor

    pipeline = StableDiffusionPipeline.from_pretrained(BASE, safety_checker=None)
    pipeline.unet.to(memory_format=torch.channels_last).set_attn_processor(AttnProcessor())
    pipeline.text_encoder.set_attn_implementation("eager")  # fused kernels' bf16 backward pass is slow on CPUs
    pipeline.vae.to(memory_format=torch.channels_last)
    return pipeline


@torch.no_grad()
def reconstruction_psnr(vae: Any, pictures: np.ndarray) -> float:
    """Mean PSNR in dB of pictures encoded and decoded."""
    chunks = [to_tensor(pictures[i : i + 50]) for i in range(0, len(pictures), 50)]
    found = [
        torch.log10(4 / (vae.decode(vae.encode(x).latent_dist.mean).sample - x).pow(2).mean((1, 2, 3))) for x in chunks
    ]
    return 10 * float(torch.cat(found).mean())


def train_vae(args: argparse.Namespace) -> None:
    torch.manual_seed(SEED)
    pictures, _ = read_split(args.work, "base")
    held_out, _ = read_split(args.work, "heldout")
    vae = load_base().vae
    optimizer = torch.optim.AdamW(vae.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    path, first = args.work / "vae.pt", 0
    if state := load_state(path):
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first, before = state["step"], state["before"]
    else:
        before = reconstruction_psnr(vae, held_out)
    log = Log(args.work / "vae.log", args.steps)
    rng = np.random.default_rng([SEED, first])
    for step in range(first, args.steps):
        batch = [
            pictures[i][:, :: 1 - 2 * int(rng.random() < 0.5)] for i in rng.integers(len(pictures), size=args.batch)
        ]
        loss = reconstruction_loss(vae, to_tensor(batch), args.kl)
        log.add(step, update(optimizer, loss, step, args.steps, args.lr))
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            save_state(path, model=vae.state_dict(), optimizer=optimizer.state_dict(), step=step + 1, before=before)
    figures = {"psnr_before": before, "psnr_after": reconstruction_psnr(vae, held_out)}
    (args.work / "vae.json").write_text(json.dumps(figures))
    print(figures)


def tuned_vae(args: argparse.Namespace, pipeline: Any) -> Any:
    pipeline.vae.load_state_dict(load_state(args.work / "vae.pt")["model"])  # type: ignore[index]
    return pipeline.vae.eval()


def tokens(tokenizer: Any, captions: list[str]) -> torch.Tensor:
    return tokenizer(captions, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt").input_ids


@torch.no_grad()
def encode_latents(args: argparse.Namespace, pipeline: Any) -> dict[str, torch.Tensor]:
    """Every picture once; float16, as there are many."""
    pictures, captions = read_split(args.work, "base")
    vae = tuned_vae(args, pipeline)
    found = [vae.encode(to_tensor(pictures[i : i + 64])).latent_dist for i in range(0, len(pictures), 64)]
    mean = torch.cat([one.mean for one in found])
    return {
        "mean": mean.half(),
        "std": torch.cat([one.std for one in found]).half(),
        "ids": tokens(pipeline.tokenizer, captions),
        "empty": tokens(pipeline.tokenizer, [""]),
        "scale": 1 / mean.std(),
    }


def train_unet(args: argparse.Namespace) -> None:
    """As the miniature was trained, from its weights: UNet and text encoder, an average of the weights kept."""
    torch.manual_seed(SEED + 1)
    pipeline = load_base()
    cache = args.work / "latents.pt"
    if not cache.exists():
        save_state(cache, **encode_latents(args, pipeline))
    data = load_state(cache)
    assert data is not None
    network = torch.nn.ModuleDict({"unet": pipeline.unet, "text": pipeline.text_encoder})
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)
    path, first = args.work / "unet.pt", 0
    if state := load_state(path):
        network.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average, first = state["average"], state["step"]
    rng, generator = np.random.default_rng([SEED, 2, first]), torch.Generator().manual_seed(SEED + first)
    log = Log(args.work / "unet.log", args.steps)
    for step in range(first, args.steps):
        index = torch.from_numpy(rng.integers(len(data["mean"]), size=args.batch))
        loss = denoising_loss(network["unet"], network["text"], pipeline.scheduler, data, index, generator)
        log.add(step, update(optimizer, loss, step, args.steps, args.lr))
        follow(average, network, step)
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            save_state(
                path, model=network.state_dict(), optimizer=optimizer.state_dict(), average=average, step=step + 1
            )


def export(args: argparse.Namespace) -> None:
    """The averaged weights as an ordinary Stable Diffusion folder, float16."""
    from diffusers.models.attention_processor import AttnProcessor2_0

    pipeline = load_base()
    tuned_vae(args, pipeline).register_to_config(scaling_factor=float(load_state(args.work / "latents.pt")["scale"]))  # type: ignore[index]
    network = torch.nn.ModuleDict({"unet": pipeline.unet, "text": pipeline.text_encoder})
    network.load_state_dict(load_state(args.work / "unet.pt")["average"])  # type: ignore[index]
    pipeline.unet.set_attn_processor(AttnProcessor2_0())
    save_half(pipeline, args.work / "model")


def main() -> None:
    run_stages(__doc__, {"data": make_data, "vae": train_vae, "unet": train_unet, "export": export}, rate=5e-4)


if __name__ == "__main__":
    main()
