"""Train a small Stable Diffusion 3: a transformer over 16-channel latents, by flow matching, on emoji.

Stages (each resumes from its last checkpoint under ``--work``)::

    python examples/train_transformer.py vae         --data DIR... --work W --steps 1500
    python examples/train_transformer.py transformer --data DIR... --work W --steps 12000
    python examples/train_transformer.py export      --work W

``--data`` names folders of ``KEY.png`` + ``KEY.txt`` pairs, as for the miniature. The autoencoder begins with the
miniature's weights where they fit; both text encoders are made of the miniature's and stay as they are; the
transformer begins with nothing. The model is ``W/model``.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch
from drawings import COLOURS, SIZE, draws, on_background, plain, random_background, read_pairs
from small_training import (
    Log,
    follow,
    load_state,
    reconstruction_loss,
    run_stages,
    save_half,
    save_state,
    to_tensor,
    update,
)
from train_photographs import load_base

from detect.training.architecture.stable_diffusion_3 import StableDiffusion3

SEED, CHANNELS, WIDTH, LAYERS, HEADS, TEXT_WIDTH = 20261129, 16, 192, 6, 6, 128
WHITE = plain((255, 255, 255))


# --- parts --------------------------------------------------------------------------------------


def make_vae(base: Any) -> Any:
    """The miniature's autoencoder with 16 channels in the middle; layers of another shape begin at random."""
    from diffusers import AutoencoderKL

    config = dict(base.vae.config) | {"latent_channels": CHANNELS, "use_quant_conv": False, "scaling_factor": 1.0}
    vae = AutoencoderKL.from_config(config | {"use_post_quant_conv": False, "shift_factor": 0.0})
    own, given = vae.state_dict(), base.vae.state_dict()
    vae.load_state_dict(own | {k: v for k, v in given.items() if k in own and v.shape == own[k].shape})
    return vae.to(memory_format=torch.channels_last)


def make_text_encoder(base: Any, layers: int) -> Any:
    """The miniature's first `layers` layers and one more that changes nothing.

    Stable Diffusion 3 reads the last layer but one, so the layer that changes nothing makes it the miniature's own.
    """
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(**base.text_encoder.config.to_dict() | {"num_hidden_layers": layers + 1})
    text = CLIPTextModelWithProjection(config)
    own, given = text.state_dict(), base.text_encoder.state_dict()
    prefix = "" if any(name in own for name in given) else "text_model."
    text.load_state_dict(own | {prefix + k: v for k, v in given.items() if prefix + k in own})
    with torch.no_grad():
        text.text_projection.weight.copy_(torch.eye(TEXT_WIDTH))
        for name, parameter in text.named_parameters():
            if f"layers.{layers}." in name and ("out_proj" in name or "fc2" in name):
                parameter.zero_()
    return text


def make_transformer() -> Any:
    """Begins as DiT does, with blocks that change nothing; text states are large, so their entrance is small."""
    from diffusers import SD3Transformer2DModel

    transformer = SD3Transformer2DModel(
        sample_size=SIZE // 8,
        patch_size=2,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        num_layers=LAYERS,
        attention_head_dim=WIDTH // HEADS,
        num_attention_heads=HEADS,
        joint_attention_dim=2 * TEXT_WIDTH,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=2 * TEXT_WIDTH,
        pos_embed_max_size=SIZE // 16,
        qk_norm="rms_norm",
    )
    norms = [norm for block in transformer.transformer_blocks for norm in (block.norm1, block.norm1_context)]
    with torch.no_grad():
        for layer in [norm.linear for norm in [*norms, transformer.norm_out]] + [transformer.proj_out]:
            layer.weight.zero_()
            layer.bias.zero_()
        transformer.context_embedder.weight.mul_(0.2)
    return transformer


def assemble(args: argparse.Namespace) -> Any:
    """The whole pipeline; the autoencoder as far as it is trained."""
    from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline

    torch.manual_seed(SEED)
    base = load_base()
    vae = make_vae(base)
    if state := load_state(args.work / "vae.pt"):
        vae.load_state_dict(state["model"])
    return StableDiffusion3Pipeline(
        transformer=make_transformer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=vae.eval(),
        text_encoder=make_text_encoder(base, 4).eval().requires_grad_(False),
        tokenizer=base.tokenizer,
        text_encoder_2=make_text_encoder(base, 1).eval().requires_grad_(False),
        tokenizer_2=base.tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )


# --- stages ---------------------------------------------------------------------------------------


def train_vae(args: argparse.Namespace) -> None:
    """As the miniature's was trained, from its weights."""
    vae = assemble(args).vae.train()
    pictures = [picture for picture, _ in read_pairs(args.data)]
    optimizer = torch.optim.AdamW(vae.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    path, first = args.work / "vae.pt", 0
    if state := load_state(path):
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    rng = np.random.default_rng([SEED, first])
    log = Log(args.work / "vae.log", args.steps)
    for step in range(first, args.steps):
        chosen = rng.integers(len(pictures), size=args.batch)
        grounds = [WHITE if rng.random() < 0.6 else random_background(rng, []) for _ in chosen]
        batch = [on_background(pictures[i], ground) for i, ground in zip(chosen, grounds, strict=True)]
        loss = reconstruction_loss(vae, to_tensor(batch), args.kl)
        log.add(step, update(optimizer, loss, step, args.steps, args.lr))
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            save_state(path, model=vae.state_dict(), optimizer=optimizer.state_dict(), step=step + 1)


@torch.no_grad()
def encode(args: argparse.Namespace, model: StableDiffusion3) -> dict[str, torch.Tensor]:
    """Latents and embedded captions: every picture on white, then every picture on a named colour."""
    rng = np.random.default_rng([SEED, 1])
    pairs = read_pairs(args.data)
    names = [list(COLOURS)[i] for i in rng.integers(len(COLOURS), size=len(pairs))]
    pictures = [on_background(picture, WHITE) for picture, _ in pairs]
    pictures += [on_background(p, plain(COLOURS[n])) for (p, _), n in zip(pairs, names, strict=True)]
    captions = [c for _, c in pairs] + [f"{c} on {n}" for (_, c), n in zip(pairs, names, strict=True)] + [""]
    np.save(args.work / "base.npy", np.stack(pictures[: len(pairs)]))  # for measure_drawings.py
    (args.work / "base.json").write_text(json.dumps(captions[: len(pairs)]))
    vae = model.pipeline.vae
    found = [vae.encode(to_tensor(pictures[i : i + 64])).latent_dist for i in range(0, len(pictures), 64)]
    mean = torch.cat([one.mean for one in found])
    texts = [model.embed(captions[i : i + 64]) for i in range(0, len(captions), 64)]
    states, pooled = (torch.cat(parts) for parts in zip(*texts, strict=True))
    shift, scale = mean.mean(), 1 / mean.std()
    std = torch.cat([one.std for one in found])
    return {"mean": mean, "std": std, "states": states, "pooled": pooled, "shift": shift, "scale": scale}


def flow_loss(
    model: StableDiffusion3, data: dict[str, torch.Tensor], index: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """The error on the chosen pictures; the last row of the captions is the empty one."""
    noise = torch.randn(2, len(index), *data["mean"].shape[1:], generator=generator)
    latents = (data["mean"][index] + data["std"][index] * noise[0] - data["shift"]) * data["scale"]
    times = model.draw_times(latents, generator)
    noisy, target = model.mix(latents, noise[1], times)
    captions = torch.where(torch.rand(len(index), generator=generator) < 0.1, len(data["states"]) - 1, index)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model.predict(noisy, times, (data["states"][captions], data["pooled"][captions]))
    return (found.float() - target).pow(2).mean()


def train_transformer(args: argparse.Namespace) -> None:
    """Flow matching with 10 % empty captions; an average of the weights is kept."""
    model = StableDiffusion3(assemble(args))
    model.prepare_for_half_precision_on_cpus()
    cache = args.work / "latents.pt"
    if not cache.exists():
        save_state(cache, **encode(args, model))
    data = load_state(cache)
    assert data is not None
    network = model.denoiser
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)
    path, first = args.work / "transformer.pt", 0
    if state := load_state(path):
        network.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average, first = state["average"], state["step"]
    generator = torch.Generator().manual_seed(SEED + first)
    batches = draws(len(data["mean"]) // 2, args.batch, np.random.default_rng([SEED, 2, first]))
    log = Log(args.work / "transformer.log", args.steps)
    for step in range(first, args.steps):
        loss = flow_loss(model, data, torch.from_numpy(next(batches)), generator)
        log.add(step, update(optimizer, loss, step, args.steps, args.lr))
        follow(average, network, step)
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            state = {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
            save_state(path, **state, average=average, step=step + 1)


def export(args: argparse.Namespace) -> None:
    """The averaged weights as an ordinary Stable Diffusion 3 folder, float16."""
    pipeline = assemble(args)
    data, state = load_state(args.work / "latents.pt"), load_state(args.work / "transformer.pt")
    assert data is not None and state is not None
    pipeline.transformer.load_state_dict(state["average"])
    pipeline.vae.register_to_config(scaling_factor=float(data["scale"]), shift_factor=float(data["shift"]))
    save_half(pipeline, args.work / "model")


def main() -> None:
    run_stages(__doc__, {"vae": train_vae, "transformer": train_transformer, "export": export}, rate=1e-3)


if __name__ == "__main__":
    main()
