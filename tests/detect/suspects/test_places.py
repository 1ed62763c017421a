"""Layers of adapters in architectures of true size: only names and shapes, no weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from detect.suspects.images.adapters.groups import parse_groups
from detect.suspects.images.adapters.places import find_places
from detect.suspects.images.silence import silenced_libraries
from protect.errors import SuspectError

HERE = Path("file.safetensors")
Pair = tuple[int, int]


def on_paper(pipeline: str, **parts: Any) -> Any:
    """As much of a pipeline as places are looked for in: its class's converter, and components without weights."""
    import diffusers

    return SimpleNamespace(
        components=parts, unet=parts.get("unet"), lora_state_dict=getattr(diffusers, pipeline).lora_state_dict
    )


@pytest.fixture(scope="module")
def flux() -> Any:
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    untyped: Any = diffusers
    with torch.device("meta"), silenced_libraries():
        transformer = untyped.FluxTransformer2DModel(num_layers=2, num_single_layers=2, guidance_embeds=True)
        clip = CLIPTextModel(CLIPTextConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2))
        t5 = T5EncoderModel(T5Config(d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4))
    return on_paper("FluxPipeline", transformer=transformer, text_encoder=clip, text_encoder_2=t5)


@pytest.fixture(scope="module")
def sdxl() -> Any:
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    untyped: Any = diffusers
    with torch.device("meta"), silenced_libraries():
        unet = untyped.UNet2DConditionModel(
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
        )
        texts = [
            kind(
                CLIPTextConfig(hidden_size=size, intermediate_size=2 * size, num_hidden_layers=2, num_attention_heads=4)
            )
            for kind, size in ((CLIPTextModel, 64), (CLIPTextModelWithProjection, 128))
        ]
    return on_paper("StableDiffusionXLPipeline", unet=unet, text_encoder=texts[0], text_encoder_2=texts[1])


def pair(
    stem: str, rows: int, columns: int, halves: Pair | tuple[str, str] = ("lora_down", "lora_up")
) -> dict[str, Tensor]:
    """A pair of rank 2."""
    return {f"{stem}.{halves[0]}.weight": torch.ones(2, columns), f"{stem}.{halves[1]}.weight": torch.ones(rows, 2)}


def where(pipeline: Any, tensors: dict[str, Tensor]) -> dict[str, dict[str, list[int]]]:
    """By stem and layer: first row of the group, and how many."""
    places = find_places(HERE, pipeline, parse_groups(HERE, tensors))
    return {stem: {place.name: [int(place.rows[0]), len(place.rows)] for place in own} for stem, own in places.items()}


def test_packed_layers_of_flux_are_split(flux: Any) -> None:
    tensors = (
        pair("lora_unet_double_blocks_1_img_attn_qkv", 9216, 3072)
        | pair("lora_unet_double_blocks_0_txt_attn_qkv", 9216, 3072)
        | pair("lora_unet_single_blocks_1_linear1", 21504, 3072)
        | pair("lora_unet_single_blocks_0_linear2", 3072, 15360)
    )
    tensors |= {f"{name.split('.')[0]}.alpha": torch.tensor(4.0) for name in list(tensors)}
    found = where(flux, tensors)
    block = "transformer.transformer_blocks.1.attn"
    assert found["lora_unet_double_blocks_1_img_attn_qkv"] == {
        f"{block}.to_q": [0, 3072],
        f"{block}.to_k": [3072, 3072],
        f"{block}.to_v": [6144, 3072],
    }
    single = "transformer.single_transformer_blocks.1"
    assert found["lora_unet_single_blocks_1_linear1"] == {
        f"{single}.attn.to_q": [0, 3072],
        f"{single}.attn.to_k": [3072, 3072],
        f"{single}.attn.to_v": [6144, 3072],
        f"{single}.proj_mlp": [9216, 12288],
    }
    assert list(found["lora_unet_single_blocks_0_linear2"]) == ["transformer.single_transformer_blocks.0.proj_out"]


def test_the_last_layer_of_flux_is_turned(flux: Any) -> None:
    """Scale and shift change places; and diffusers 0.42 drops these layers, since it forgets their prefix."""
    tensors = pair("lora_unet_final_layer_adaLN_modulation_1", 6144, 3072) | pair(
        "lora_unet_final_layer_linear", 64, 3072
    )
    tensors |= pair("lora_unet_guidance_in_in_layer", 3072, 256) | pair("lora_unet_img_in", 3072, 64)
    found = where(flux, tensors)
    assert found["lora_unet_final_layer_adaLN_modulation_1"] == {"transformer.norm_out.linear": [3072, 6144]}
    assert found["lora_unet_final_layer_linear"] == {"transformer.proj_out": [0, 64]}
    assert found["lora_unet_img_in"] == {"transformer.x_embedder": [0, 3072]}


@pytest.mark.parametrize(
    ("stem", "rows", "columns", "layer"),
    [
        ("transformer.transformer_blocks.0.attn.to_q", 3072, 3072, "transformer.transformer_blocks.0.attn.to_q"),
        ("lora_transformer_transformer_blocks_0_attn_to_q", 3072, 3072, "transformer.transformer_blocks.0.attn.to_q"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1", 128, 64, "text_encoder.encoder.layers.0.mlp.fc1"),
        (
            "lora_te3_encoder_block_0_layer_0_SelfAttention_q",
            64,
            64,
            "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q",
        ),
        (
            "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q",
            64,
            64,
            "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q",
        ),
        ("diffusion_model.single_blocks.0.linear2", 3072, 15360, "transformer.single_transformer_blocks.0.proj_out"),
    ],
)
@pytest.mark.parametrize("halves", [("lora_down", "lora_up"), ("lora_A", "lora_B")])
def test_names_for_flux(flux: Any, stem: str, rows: int, columns: int, layer: str, halves: tuple[str, str]) -> None:
    assert where(flux, pair(stem, rows, columns, halves)) == {stem: {layer: [0, rows]}}


def test_names_of_xlabs(flux: Any) -> None:
    tensors = pair("double_blocks.0.processor.qkv_lora1", 9216, 3072, ("down", "up"))
    tensors |= pair("double_blocks.0.processor.proj_lora2", 3072, 3072, ("down", "up"))
    found = where(flux, tensors)
    assert [*found["double_blocks.0.processor.qkv_lora1"].values()] == [[0, 3072], [3072, 3072], [6144, 3072]]
    assert list(found["double_blocks.0.processor.proj_lora2"]) == ["transformer.transformer_blocks.0.attn.to_add_out"]


def test_names_of_sdxl(sdxl: Any) -> None:
    """sd-scripts trains SDXL under the names of its first release."""
    first, inner = "lora_unet_input_blocks_4_1_", "transformer_blocks.0.attn1.to_q"
    stems = {
        first + inner.replace(".", "_"): f"down_blocks.1.attentions.0.{inner}",
        "lora_unet_middle_block_1_proj_out": "mid_block.attentions.0.proj_out",
        "lora_unet_output_blocks_5_1_proj_in": "up_blocks.1.attentions.2.proj_in",
    }
    shapes = [(640, 640), (1280, 1280), (640, 640)]
    tensors: dict[str, Tensor] = {}
    for stem, (rows, columns) in zip(stems, shapes, strict=True):
        tensors |= pair(stem, rows, columns) | {f"{stem}.alpha": torch.tensor(1.0)}
    tensors |= pair("lora_te2_text_model_encoder_layers_1_self_attn_out_proj", 128, 128)
    tensors["lora_te2_text_model_encoder_layers_1_self_attn_out_proj.alpha"] = torch.tensor(1.0)
    found = {stem: next(iter(own)) for stem, own in where(sdxl, tensors).items()}
    for stem, layer in stems.items():
        assert found[stem] == f"unet.{layer}"
    assert found["lora_te2_text_model_encoder_layers_1_self_attn_out_proj"].startswith("text_encoder_2.")


def test_a_base_of_another_family(flux: Any, sdxl: Any) -> None:
    with pytest.raises(SuspectError, match="no place in the base"):
        where(sdxl, pair("lora_unet_double_blocks_1_img_attn_qkv", 9216, 3072))
    with pytest.raises(SuspectError, match="no place in the base"):
        where(flux, pair("lora_unet_down_blocks_1_attentions_0_proj_in", 640, 640))
