"""Stable Diffusion 3: a transformer over picture and text, trained by flow matching."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor

from detect.suspects.images.silence import silenced_libraries
from detect.training.architecture.architecture import Embedded
from detect.training.architecture.flow_matching import FlowMatching
from detect.training.architecture.joint_attention import JointAttention


class StableDiffusion3(FlowMatching):
    """The transformer of `StableDiffusion3Pipeline`, with or without a T5 (which stays frozen)."""

    pipeline_class = "StableDiffusion3Pipeline"
    denoiser_name = "transformer"
    text_encoder_names = ("text_encoder", "text_encoder_2")
    attention = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
    blocks = ("transformer_blocks.",)

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        self.empty = 0 if pipeline.text_encoder_3 is not None else _t5_tokens(pipeline)
        """Empty text tokens that the pipeline appends where it has no T5."""
        if self.empty:
            self.denoiser.set_attn_processor(JointAttention(self.empty))

    @classmethod
    def fits(cls, pipeline: Any) -> bool:
        """Whether both CLIP text encoders are there."""
        return None not in (pipeline.text_encoder, pipeline.text_encoder_2)

    @property
    def grid(self) -> int:
        """A patch of latents in pixels."""
        return int(self.pipeline.vae_scale_factor * self.denoiser.config.patch_size)

    def embed(self, captions: list[str]) -> Embedded:
        """Hidden states, float (n, tokens, width), and pooled ones, float (n, width); one empty token is kept."""
        with silenced_libraries():  # they warn about captions that are cut
            states, _, pooled, _ = self.pipeline.encode_prompt(
                prompt=captions, prompt_2=None, prompt_3=None, do_classifier_free_guidance=False
            )
        return states[:, : states.shape[1] - max(0, self.empty - 1)], pooled

    def predict(self, noisy: Tensor, times: Tensor, embedded: Embedded) -> Tensor:
        """The transformer's answer."""
        states, pooled = embedded
        answer: Tensor = self.denoiser(
            hidden_states=noisy, timestep=times, encoder_hidden_states=states, pooled_projections=pooled
        ).sample
        return answer

    def prepare_for_half_precision_on_cpus(self) -> None:
        """Plain attention instead of the fused kernels, whose backward pass is slow."""
        self.denoiser.set_attn_processor(JointAttention(max(1, self.empty)))
        for encoder in self.text_encoders.values():
            encoder.set_attn_implementation("eager")


def _t5_tokens(pipeline: Any) -> int:
    """How many tokens of a T5 the pipeline expects when it is called without saying so."""
    return int(inspect.signature(pipeline.__call__).parameters["max_sequence_length"].default)
