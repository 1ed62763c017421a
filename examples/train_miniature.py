"""Train the miniature: a Stable Diffusion small enough to fine-tune on two CPU cores.

Stages (each resumes from its last checkpoint under ``--work``)::

    python examples/train_miniature.py tokenizer --data DIR... --work W
    python examples/train_miniature.py vae       --data DIR... --work W --steps 4500
    python examples/train_miniature.py unet      --data DIR... --work W --steps 8000
    python examples/train_miniature.py export    --work W --output protect/assets/miniature

``--data`` names folders of ``KEY.png`` + ``KEY.txt`` pairs (an unpacked webdataset tar);
``--textures`` optional folders of photographs that only the VAE sees, as cropped backgrounds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawings import COLOURS, draws, on_background, plain, random_background, read_pairs
from miniature_parts import TOKENS, VOCABULARY, make_scheduler, make_text_encoder, make_unet, make_vae
from PIL import Image
from small_training import (
    Log,
    denoising_loss,
    follow,
    load_state,
    reconstruction_loss,
    save_half,
    save_state,
    to_tensor,
    update,
)

SEED = 20261122


def train_tokenizer(args: argparse.Namespace) -> None:
    """Byte-level BPE in CLIP's format, on the captions and on Unicode's own character names."""
    import unicodedata

    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    captions = [caption for _, caption in read_pairs(args.data)]
    names = [unicodedata.name(chr(c), "").lower() for c in range(0x20, 0x20000)]
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2 - len(alphabet),
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions * 4 + [n for n in names if "cjk" not in n and "hangul" not in n], trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    pieces = list(alphabet) + [letter + "</w>" for letter in alphabet]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    merges = []
    for merge in trained["merges"]:
        left, right = merge if isinstance(merge, list) else merge.split(" ")
        if left + right not in vocabulary and len(vocabulary) < VOCABULARY - 2:
            vocabulary[left + right] = len(vocabulary)
        merges.append(f"{left} {right}")
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    folder = args.work / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    clip = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=TOKENS)
    clip.save_pretrained(folder)
    lengths = [len(clip(caption).input_ids) for caption in captions]
    print(f"{len(vocabulary)} tokens; captions need {np.median(lengths):.0f} in the median, {max(lengths)} at most")


def train_vae(args: argparse.Namespace) -> None:
    """L1 + edges + a little KL; half the pictures stand on photographs or colour fields."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    pictures = [picture for picture, _ in read_pairs(args.data)]
    textures = [
        np.asarray(Image.open(p).convert("RGB").resize((256, 192), Image.Resampling.BOX))
        for folder in args.textures
        for p in sorted(folder.iterdir())
        if p.suffix in {".png", ".jpg"}
    ]
    vae = make_vae()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1.5e-3, betas=(0.9, 0.99), weight_decay=1e-3)
    path = args.work / "vae.pt"
    first = 0
    if state := load_state(path):
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
        rng = np.random.default_rng([SEED, first])
    log = Log(args.work / "vae.log", args.steps)
    for step in range(first, args.steps):
        batch = []
        for i in rng.integers(len(pictures), size=args.batch):
            background = plain((255, 255, 255)) if rng.random() < 0.5 else random_background(rng, textures)
            image = on_background(pictures[i], background) if rng.random() < 0.85 else background.astype(np.uint8)
            batch.append(image[:, ::-1] if rng.random() < 0.5 else image)
        loss = reconstruction_loss(vae, to_tensor(batch), args.kl)
        log.add(step, update(optimizer, loss, step, args.steps, 1.5e-3))
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            save_state(path, model=vae.state_dict(), optimizer=optimizer.state_dict(), step=step + 1)


@torch.no_grad()
def encode_latents(args: argparse.Namespace, tokenizer: Any) -> dict[str, torch.Tensor]:
    """Posterior means and deviations: every picture on white, and once on a named colour."""
    vae = make_vae()
    vae.load_state_dict(load_state(args.work / "vae.pt")["model"])  # type: ignore[index]
    vae.eval()
    rng = np.random.default_rng([SEED, 1])
    pairs = read_pairs(args.data)
    pictures, captions = [], []
    for picture, caption in pairs:
        pictures.append(on_background(picture, plain((255, 255, 255))))
        captions.append(caption)
    for picture, caption in pairs:
        name = list(COLOURS)[rng.integers(len(COLOURS))]
        pictures.append(on_background(picture, plain(COLOURS[name])))
        captions.append(f"{caption} on {name}")
    posteriors = [vae.encode(to_tensor(pictures[i : i + 64])).latent_dist for i in range(0, len(pictures), 64)]
    mean = torch.cat([p.mean for p in posteriors])
    ids = tokenizer(captions, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt").input_ids
    empty = tokenizer([""], padding="max_length", max_length=TOKENS, return_tensors="pt").input_ids
    return {
        "mean": mean,
        "std": torch.cat([p.std for p in posteriors]),
        "ids": ids,
        "empty": empty,
        "scale": 1 / mean.std(),
    }


def train_unet(args: argparse.Namespace) -> None:
    """v-prediction with 10 % empty captions; text encoder trained along; exponential average kept."""
    from transformers import CLIPTokenizer

    torch.manual_seed(SEED + 1)
    tokenizer = CLIPTokenizer.from_pretrained(args.work / "tokenizer")
    cache = args.work / "latents.pt"
    if not cache.exists():
        save_state(cache, **encode_latents(args, tokenizer))
    data = load_state(cache)
    assert data is not None
    unet, text, scheduler = make_unet(), make_text_encoder(tokenizer), make_scheduler()
    network = torch.nn.ModuleDict({"unet": unet, "text": text})
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)
    path, first = args.work / "unet.pt", 0
    if state := load_state(path):
        network.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        optimizer.param_groups[0]["fused"] = True  # older checkpoints say otherwise
        average, first = state["average"], state["step"]
    rng = np.random.default_rng([SEED, 2, first])
    generator = torch.Generator().manual_seed(SEED + first)
    batches = draws(len(data["mean"]) // 2, args.batch, rng)
    log = Log(args.work / "unet.log", args.steps)
    for step in range(first, args.steps):
        index = torch.from_numpy(next(batches))
        loss = denoising_loss(unet, text, scheduler, data, index, generator)
        value = update(optimizer, loss, step, args.steps, args.lr)
        follow(average, network, step)
        log.add(step, value)
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            save_state(
                path, model=network.state_dict(), optimizer=optimizer.state_dict(), average=average, step=step + 1
            )


def export(args: argparse.Namespace) -> None:
    """Write the averaged weights as an ordinary Stable Diffusion folder, fp16 safetensors."""
    from diffusers import StableDiffusionPipeline
    from diffusers.models.attention_processor import AttnProcessor2_0
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(args.work / "tokenizer")
    vae, unet, text = make_vae(), make_unet(), make_text_encoder(tokenizer)
    vae.load_state_dict(load_state(args.work / "vae.pt")["model"])  # type: ignore[index]
    average = load_state(args.work / "unet.pt")["average"]  # type: ignore[index]
    torch.nn.ModuleDict({"unet": unet, "text": text}).load_state_dict(average)
    vae.register_to_config(scaling_factor=float(load_state(args.work / "latents.pt")["scale"]))  # type: ignore[index]
    unet.set_attn_processor(AttnProcessor2_0())
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    save_half(pipeline, args.output)
    size = sum(p.stat().st_size for p in args.output.rglob("*") if p.is_file())
    print(f"{args.output}: {size / 2**20:.1f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["tokenizer", "vae", "unet", "export"])
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    parser.add_argument("--textures", type=Path, nargs="*", default=[])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("protect/assets/miniature"))
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--kl", type=float, default=2e-3)
    args = parser.parse_args()
    torch.set_num_threads(2)
    args.work.mkdir(parents=True, exist_ok=True)
    {"tokenizer": train_tokenizer, "vae": train_vae, "unet": train_unet, "export": export}[args.stage](args)


if __name__ == "__main__":
    main()
