"""Stable Diffusion 1.5, SDXL, SD 3 medium and FLUX.1 of true size and random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from detect.suspects.images.silence import silenced_libraries
from tests.support.models import write_tokenizer

SD, SDXL, SD3, FLUX = "SD 1.5", "SDXL", "SD 3 medium, without T5", "FLUX.1"
SIDES = {SD: 512, SDXL: 1024, SD3: 1024, FLUX: 1024}
"""Of their pictures, in pixels."""
UNETS = (SD, SDXL)
_WORDS, _T5_WORDS, _WINDOW, _BLOCK = 49_408, 32_128, 77, 1 << 20


def denoiser(kind: str, depth: Mapping[str, int] | None = None) -> Any:
    """What denoises; `depth` names numbers of layers that are not the true ones."""
    import diffusers

    untyped: Any = diffusers
    own = dict(depth or {})
    if kind == SD:
        return untyped.UNet2DConditionModel(sample_size=64, cross_attention_dim=768, **own)
    if kind == SDXL:
        return untyped.UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
            use_linear_projection=True,
            **own,
        )
    if kind == SD3:
        settings = {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536} | own
        return untyped.SD3Transformer2DModel(pos_embed_max_size=192, **settings)
    return untyped.FluxTransformer2DModel(guidance_embeds=True, **own)


def texts(kind: str, tokenizer: Any, t5_layers: int) -> dict[str, Any]:
    """Text encoders of true size, by their names in the pipeline."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

    large, giant = _clip(tokenizer, 768, 12, 12), _clip(tokenizer, 1280, 32, 20)
    if kind == SD:
        return {"text_encoder": CLIPTextModel(large)}
    if kind == SDXL:
        return {"text_encoder": CLIPTextModel(large), "text_encoder_2": CLIPTextModelWithProjection(giant)}
    if kind == SD3:
        both = (CLIPTextModelWithProjection(config) for config in (large, giant))
        return dict(zip(("text_encoder", "text_encoder_2"), both, strict=True))
    t5 = T5Config(
        vocab_size=_T5_WORDS,
        d_model=4096,
        d_kv=64,
        d_ff=10240,
        num_layers=t5_layers,
        num_heads=64,
        feed_forward_proj="gated-gelu",
    )
    return {"text_encoder": CLIPTextModel(large), "text_encoder_2": T5EncoderModel(t5)}


def _clip(tokenizer: Any, width: int, layers: int, heads: int) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=_WORDS,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=_WINDOW,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _vae(kind: str) -> Any:
    import diffusers

    untyped: Any = diffusers
    flows = kind not in UNETS
    return untyped.AutoencoderKL(
        sample_size=SIDES[kind],
        latent_channels=16 if flows else 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        use_quant_conv=not flows,
        use_post_quant_conv=not flows,
        shift_factor=0.1 if flows else None,
    )


def filled(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """A module without values on the CPU, its values drawn from one block; what it makes itself when loaded aside."""
    made = module.to(dtype).to_empty(device="cpu")
    generator = torch.Generator("cpu").manual_seed(0)
    block = (torch.randn(_BLOCK, generator=generator, device="cpu") * 0.02).to(dtype)
    with torch.no_grad():
        for tensor in made.state_dict().values():
            for piece in tensor.view(-1).split(_BLOCK):
                piece.copy_(block[: len(piece)])
    return made


def build(kind: str, folder: Path, dtype: torch.dtype, depth: Mapping[str, int], t5_layers: int | None) -> Path:
    """Write a pipeline to `folder`.

    Args:
        kind: which one.
        folder: where to.
        dtype: of the weights.
        depth: of the denoiser, where it is not the true one.
        t5_layers: of FLUX.1's T5; all 24 if None.
    """
    import diffusers

    untyped: Any = diffusers
    tokenizer = _tokenizer(folder.with_name(folder.name + "-tokenizer"))
    with torch.device("meta"), silenced_libraries():
        hollow = {"vae": _vae(kind), "unet" if kind in UNETS else "transformer": denoiser(kind, depth)}
        hollow |= texts(kind, tokenizer, t5_layers or 24)
        parts: dict[str, Any] = {name: filled(part, dtype) for name, part in hollow.items()}
    parts |= {name.replace("text_encoder", "tokenizer"): tokenizer for name in parts if name.startswith("text")}
    if kind == SD:
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    elif kind == SD3:
        parts |= {"text_encoder_3": None, "tokenizer_3": None}
    elif kind == FLUX:
        parts["tokenizer_2"] = _long_tokenizer()
    if kind in UNETS:
        parts["scheduler"] = untyped.DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    else:
        parts["scheduler"] = untyped.FlowMatchEulerDiscreteScheduler(shift=3.0)
    of = {
        SD: untyped.StableDiffusionPipeline,
        SDXL: untyped.StableDiffusionXLPipeline,
        SD3: untyped.StableDiffusion3Pipeline,
        FLUX: untyped.FluxPipeline,
    }
    with silenced_libraries():
        of[kind](**parts).save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer in size; beside bytes it knows words that nobody writes."""
    from transformers import CLIPTokenizer

    write_tokenizer(folder)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    vocabulary |= {f"{number}</w>": number for number in range(len(vocabulary), _WORDS)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=_WINDOW)


def _long_tokenizer() -> Any:
    """T5's tokenizer in size, in the same way."""
    from transformers import T5Tokenizer

    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    words += [(letter, -2.0) for letter in "▁abcdefghijklmnopqrstuvwxyz0123456789"]
    words += [(f"▁{number}▁", -20.0) for number in range(len(words), _T5_WORDS)]
    return T5Tokenizer(vocab=words, extra_ids=0, model_max_length=512)
