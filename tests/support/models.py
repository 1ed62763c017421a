"""A Stable Diffusion of random weights, small enough to build in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from detect.suspects.images.silence import silenced_libraries

TOKENS = 16
"""Its text window, start and end among them."""


def write_tokenizer(folder: Path) -> Any:
    """A CLIP tokenizer that knows the 256 bytes and nothing more."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(pieces)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=TOKENS)


def build(
    folder: Path, *, width: int = 32, prediction: str = "v_prediction", dtype: torch.dtype = torch.float32
) -> Path:
    """Write a random Stable Diffusion drawing 16 px pictures to `folder`."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel

    untyped: Any = diffusers
    tokenizer = write_tokenizer(folder.with_name(folder.name + "-tokenizer"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(width)
        unet = untyped.UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            layers_per_block=1,
            block_out_channels=(width, 2 * width),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=2,
            norm_num_groups=8,
        )
        vae = untyped.AutoencoderKL(
            sample_size=16,
            latent_channels=4,
            norm_num_groups=8,
            layers_per_block=1,
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=TOKENS,
                projection_dim=32,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    scheduler = untyped.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type=prediction,
        rescale_betas_zero_snr=prediction == "v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
    )
    pipeline = untyped.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with silenced_libraries():
        pipeline.to(dtype).save_pretrained(folder)
    return folder
