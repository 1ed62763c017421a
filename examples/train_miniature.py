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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
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

SIZE = 64
TOKENS = 40
VOCABULARY = 4096
SEED = 20261122


# --- data ---------------------------------------------------------------------------------------


def read_pairs(folders: list[Path]) -> list[tuple[Image.Image, str]]:
    """RGBA pictures (64 px) with captions; skin-tone variants are left out to save capacity."""
    pairs = []
    for folder in folders:
        for path in sorted(folder.glob("*.png")):
            caption = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
            if "skin tone" in caption or " tone " in caption:
                continue
            picture = Image.open(path).convert("RGBA").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
            pairs.append((picture, caption))
    return pairs


COLOURS = {
    "red": (214, 60, 52),
    "green": (70, 160, 84),
    "blue": (64, 110, 208),
    "yellow": (246, 214, 84),
    "orange": (240, 150, 60),
    "purple": (140, 90, 190),
    "pink": (244, 170, 190),
    "brown": (140, 100, 70),
    "grey": (150, 150, 156),
    "black": (30, 30, 34),
    "cyan": (110, 200, 215),
    "cream": (246, 236, 210),
}


def on_background(picture: Image.Image, background: np.ndarray) -> np.ndarray:
    """Composite an RGBA picture on an RGB background, uint8 (64, 64, 3)."""
    rgba = np.asarray(picture, dtype=np.float32)
    alpha = rgba[..., 3:] / 255.0
    return np.round(rgba[..., :3] * alpha + background * (1 - alpha)).astype(np.uint8)


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, dtype=np.float32), (SIZE, SIZE, 3))


def random_background(rng: np.random.Generator, textures: list[np.ndarray]) -> np.ndarray:
    """A photograph's crop or a smooth field between two to four colours, float (64, 64, 3)."""
    if textures and rng.random() < 0.5:
        source = textures[rng.integers(len(textures))]
        side = int(rng.integers(SIZE, min(source.shape[:2]) + 1))
        y, x = (int(rng.integers(0, s - side + 1)) for s in source.shape[:2])
        crop = Image.fromarray(source[y : y + side, x : x + side])
        return np.asarray(crop.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float32)
    knots = int(rng.integers(2, 7))
    field = Image.fromarray(rng.integers(0, 256, (knots, knots, 3), dtype=np.uint8))
    resample = [Image.Resampling.NEAREST, Image.Resampling.BICUBIC][int(rng.random() < 0.7)]
    return np.asarray(field.resize((SIZE, SIZE), resample), dtype=np.float32)


# --- stages ---------------------------------------------------------------------------------------


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


def make_vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        sample_size=SIZE,
        latent_channels=8,
        norm_num_groups=8,
        layers_per_block=1,
        block_out_channels=(16, 32, 64, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        scaling_factor=1.0,
    ).to(memory_format=torch.channels_last)


def make_text_encoder(tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            projection_dim=128,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    text.set_attn_implementation("eager")  # as in the UNet
    return text


def make_unet() -> Any:
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    unet = UNet2DConditionModel(
        sample_size=SIZE // 8,
        in_channels=8,
        out_channels=8,
        layers_per_block=1,
        block_out_channels=(128, 176),
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=128,
        attention_head_dim=2,
        norm_num_groups=16,
    ).to(memory_format=torch.channels_last)
    unet.set_attn_processor(AttnProcessor())  # the fused kernel's bf16 backward pass is slow on CPUs
    return unet


def make_scheduler() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,
    )


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


def draws(count: int, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Indices: four in five from the white half (shuffled passes), one in five from the coloured half."""
    while True:
        order = rng.permutation(count)
        for start in range(0, count - batch, batch):
            chosen = order[start : start + batch]
            yield np.where(rng.random(batch) < 0.2, chosen + count, chosen)


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
