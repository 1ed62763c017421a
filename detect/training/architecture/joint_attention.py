"""Joint attention of text and picture in which one text token may stand for many equal ones."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


class JointAttention:
    """An attention processor for `SD3Transformer2DModel`.

    Where no T5 is loaded, diffusers feeds hundreds of empty text tokens. They are equal and have no place, so they
    stay equal in every layer, and attention to all of them is attention to one with log(count) added to its logit:
    the same answer (to rounding) for a fraction of the work.

    Args:
        count: how many equal tokens the last text token stands for; 1 changes nothing.
    """

    def __init__(self, count: int = 1) -> None:
        self.bonus = math.log(count)

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Mix the two streams, float (n, tokens, width) each; a picture by itself gives one tensor."""
        layers = (attn.to_q, attn.norm_q), (attn.to_k, attn.norm_k), (attn.to_v, None)
        streams = [_heads(hidden_states, layers, attn.heads)]
        if encoder_hidden_states is not None:
            added = (
                (attn.add_q_proj, attn.norm_added_q),
                (attn.add_k_proj, attn.norm_added_k),
                (attn.add_v_proj, None),
            )
            streams.append(_heads(encoder_hidden_states, added, attn.heads))
        query, key, value = (torch.cat(parts, dim=2) for parts in zip(*streams, strict=True))
        bias = torch.zeros(key.shape[2], dtype=query.dtype, device=query.device)
        if encoder_hidden_states is not None:
            bias[-1] = self.bonus
        mixed = attend(query, key, value, bias).transpose(1, 2).flatten(2)
        own = attn.to_out[1](attn.to_out[0](mixed[:, : hidden_states.shape[1]]))
        if encoder_hidden_states is None:
            return own  # type: ignore[no-any-return]
        text = mixed[:, hidden_states.shape[1] :]
        return own, text if attn.context_pre_only else attn.to_add_out(text)


def _heads(states: Tensor, layers: Any, heads: int) -> list[Tensor]:
    """Queries, keys and values of one stream, float (n, heads, tokens, width / heads) each."""
    found = []
    for project, norm in layers:
        split = project(states).unflatten(-1, (heads, -1)).transpose(1, 2)
        found.append(split if norm is None else norm(split))
    return found


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Softmax attention with a bias for each key, shape (keys,)."""
    if query.device.type != "cpu" or query.dtype == torch.float32:
        mask = bias.to(query.dtype).expand(query.shape[2], -1)
        return scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # On CPUs the fused kernel's half-precision backward pass is five times slower than this.
    logits = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias
    return logits.softmax(-1).to(value.dtype) @ value
