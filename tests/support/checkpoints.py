"""The tiny model as people share checkpoints: one file, under the names of the first release of Stable Diffusion."""

from __future__ import annotations

import json
import re
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def whole_checkpoint(base: Path) -> dict[str, Tensor]:
    """All tensors of the tiny model."""
    return denoiser(base) | autoencoder(base) | text(base)


def denoiser(base: Path) -> dict[str, Tensor]:
    """The UNet's part."""
    config = json.loads((base / "unet/config.json").read_text())
    layers, blocks = config["layers_per_block"], len(config["block_out_channels"])
    return {
        f"model.diffusion_model.{_unet_name(name, layers, blocks)}": tensor
        for name, tensor in load_file(base / "unet/diffusion_pytorch_model.safetensors").items()
    }


def autoencoder(base: Path) -> dict[str, Tensor]:
    """The VAE's part; its attention is a convolution of one pixel."""
    blocks = len(json.loads((base / "vae/config.json").read_text())["block_out_channels"])
    found = {}
    for name, tensor in load_file(base / "vae/diffusion_pytorch_model.safetensors").items():
        attention = ".attentions." in name and name.endswith("weight") and "group_norm" not in name
        found[f"first_stage_model.{_vae_name(name, blocks)}"] = tensor[:, :, None, None] if attention else tensor
    return found


def text(base: Path) -> dict[str, Tensor]:
    """The text encoder's part."""
    tensors = load_file(base / "text_encoder/model.safetensors").items()
    return {f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}": t for name, t in tensors}


def write_checkpoint(path: Path, tensors: dict[str, Tensor]) -> Path:
    """A file of them."""
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)
    return path


def _unet_name(name: str, layers: int, blocks: int) -> str:
    for ours, theirs in _ENDS.items():
        if name.startswith(f"{ours}."):
            return name.replace(ours, theirs, 1)
    if match := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", name):
        place = 1 if match[1] == "attentions" else 2 * int(match[2])
        return f"middle_block.{place}.{_inner(match[3])}"
    match = re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.+)", name)
    assert match, name
    block, layer, rest = int(match[2]), int(match[4]), match[5]
    if match[1] == "down":
        start = 1 + block * (layers + 1)
        if match[3] == "downsamplers":
            return f"input_blocks.{start + layers}.0.op.{rest.removeprefix('conv.')}"
        return f"input_blocks.{start + layer}.{int(match[3] == 'attentions')}.{_inner(rest)}"
    start = block * (layers + 1)
    if match[3] == "upsamplers":
        has_attention = block == blocks - 1  # as in the tiny model: attention in the last block only
        return f"output_blocks.{start + layers}.{1 + has_attention}.{rest}"
    return f"output_blocks.{start + layer}.{int(match[3] == 'attentions')}.{_inner(rest)}"


def _inner(rest: str) -> str:
    head = rest.rpartition(".")[0]
    return rest.replace(head, _RESNET[head]) if head in _RESNET else rest


def _vae_name(name: str, blocks: int) -> str:
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{blocks - 1 - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{blocks - 1 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{1 + int(m[1])}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_norm_out", "norm_out")
    if "mid.attn_1" in name:
        head, _, tail = name.partition("mid.attn_1.")
        layer, _, kind = tail.rpartition(".")
        name = f"{head}mid.attn_1.{_VAE_ATTENTION[layer]}.{kind}"
    return name.replace("conv_shortcut", "nin_shortcut")
