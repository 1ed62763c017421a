"""A FLUX.1 and a Stable Diffusion XL of random weights, small enough to build in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from detect.suspects.images.silence import silenced_libraries
from tests.support.models import TOKENS, write_tokenizer

CHANNELS = 4
WIDTH = 32


def build_xl(folder: Path, *, prediction: str = "epsilon") -> Path:
    """Write a random Stable Diffusion XL drawing 16 px pictures to `folder`."""
    import diffusers
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    untyped: Any = diffusers
    tokenizer = write_tokenizer(folder.with_name(folder.name + "-tokenizer"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = untyped.UNet2DConditionModel(
            sample_size=8,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            layers_per_block=1,
            block_out_channels=(WIDTH, 2 * WIDTH),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=2 * WIDTH,
            attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
            norm_num_groups=8,
        )
        pipeline = untyped.StableDiffusionXLPipeline(
            vae=_vae(),
            text_encoder=CLIPTextModel(_clip(tokenizer)),
            text_encoder_2=CLIPTextModelWithProjection(_clip(tokenizer)),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=unet,
            scheduler=untyped.EulerDiscreteScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction
            ),
            add_watermarker=False,
        )
    return _save(pipeline, folder)


def build_flux(folder: Path, *, guided: bool = False, dynamic: bool = True) -> Path:
    """Write a random FLUX.1 to `folder`; its T5 knows the letters and nothing more.

    Args:
        folder: where to.
        guided: whether it takes its guidance as a number, as FLUX.1-dev does.
        dynamic: whether the shift of its times grows with the picture.
    """
    import diffusers
    from transformers import CLIPTextModel, T5Config, T5EncoderModel, T5Tokenizer

    untyped: Any = diffusers
    tokenizer = write_tokenizer(folder.with_name(folder.name + "-tokenizer"))
    letters = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        *((c, -2.0) for c in "▁abcdefghijklmnopqrstuvwxyz0123456789"),
    ]
    long_tokenizer = T5Tokenizer(vocab=letters, extra_ids=0, model_max_length=TOKENS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = untyped.FluxTransformer2DModel(
            patch_size=1,
            in_channels=4 * CHANNELS,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=guided,
            axes_dims_rope=(2, 2, 4),
        )
        config = T5Config(vocab_size=len(long_tokenizer), d_model=WIDTH, d_kv=8, d_ff=64, num_layers=1, num_heads=2)
        pipeline = untyped.FluxPipeline(
            transformer=transformer,
            scheduler=untyped.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=dynamic),
            vae=_vae(shift=0.1),
            text_encoder=CLIPTextModel(_clip(tokenizer)),
            text_encoder_2=T5EncoderModel(config),
            tokenizer=tokenizer,
            tokenizer_2=long_tokenizer,
        )
    return _save(pipeline, folder)


def _save(pipeline: Any, folder: Path) -> Path:
    with silenced_libraries():
        pipeline.save_pretrained(folder)
    return folder


def _clip(tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _vae(shift: float | None = None) -> Any:
    import diffusers

    untyped: Any = diffusers
    return untyped.AutoencoderKL(
        sample_size=16,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        shift_factor=shift,
    )
