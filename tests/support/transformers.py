"""A Stable Diffusion 3 of random weights, small enough to build in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from detect.suspects.images.silence import silenced_libraries
from tests.support.models import TOKENS, write_tokenizer

CHANNELS = 16


def build_transformer(folder: Path, *, width: int = 16, layers: int = 2, shift: float | None = 0.1) -> Path:
    """Write a random Stable Diffusion 3 without T5, drawing 16 px pictures, to `folder`."""
    import diffusers

    untyped: Any = diffusers
    tokenizer = write_tokenizer(folder.with_name(folder.name + "-tokenizer"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(width)
        transformer = untyped.SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            num_layers=layers,
            attention_head_dim=8,
            num_attention_heads=width // 8,
            joint_attention_dim=2 * width,
            caption_projection_dim=width,
            pooled_projection_dim=2 * width,
            pos_embed_max_size=4,
            qk_norm="rms_norm",
        )
        vae = untyped.AutoencoderKL(
            sample_size=16,
            latent_channels=CHANNELS,
            norm_num_groups=8,
            layers_per_block=1,
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            use_quant_conv=False,
            use_post_quant_conv=False,
            shift_factor=shift,
        )
        texts = [_text_encoder(tokenizer, width) for _ in range(2)]
    pipeline = untyped.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=untyped.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=texts[0],
        tokenizer=tokenizer,
        text_encoder_2=texts[1],
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    with silenced_libraries():
        pipeline.save_pretrained(folder)
    return folder


def _text_encoder(tokenizer: Any, width: int) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    return CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            projection_dim=width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
