"""How each class of pipeline is asked: what its arguments are called, and which models were made for few steps."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detect.suspects.images.suspect import Sampler
from protect.errors import SuspectError

_FAST = re.compile(r"(?<![a-z])(turbo|schnell|lightning|lcm|dmd2?|sprint|flash|hyper-?sd\w*)(?![a-z])", re.IGNORECASE)
"""Names of models that were distilled for few steps."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Steps and guidance that a distilled model was made for."""

    steps: int
    guidance: float
    reason: str

    def against(self, sampler: Sampler) -> str:
        """What to tell whoever asks it otherwise; empty if the sampler suits it."""
        if sampler.steps <= 2 * self.steps and sampler.guidance <= self.guidance + 0.5:
            return ""
        return (
            f"made for {self.steps} steps and guidance {self.guidance:g}, it seems ({self.reason}); the plan says "
            f"{sampler.steps} and {sampler.guidance:g}. It is better asked with --steps {self.steps} "
            f"--guidance {self.guidance:g}: a further plan, at half the level"
        )


def propose(pipeline: Any, names: Sequence[str] = ()) -> Proposal | None:
    """Steps and guidance for a distilled model; None for one that is not, as far as can be told.

    Args:
        pipeline: a diffusers pipeline.
        names: of the model's files and adapters.
    """
    scheduler, settings = type(pipeline.scheduler).__name__, pipeline.scheduler.config
    denoiser = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    config = getattr(denoiser, "config", {})
    if scheduler in ("LCMScheduler", "TCDScheduler"):
        embedded = config.get("time_cond_proj_dim") is not None
        return Proposal(4, 8.0 if embedded else 1.0, f"its scheduler is {scheduler}")
    if scheduler.startswith("Euler") and settings.get("timestep_spacing") == "trailing":
        return Proposal(4, 1.0, f"its scheduler is {scheduler} with trailing steps, as in turbo models")
    if type(pipeline).__name__ == "FluxPipeline" and config.get("guidance_embeds") is False:
        return Proposal(4, 1.0, "its transformer takes no guidance, as FLUX schnell")
    if pipeline.config.get("is_distilled"):
        return Proposal(4, 1.0, "its index says that it is distilled")
    if "Sprint" in type(pipeline).__name__:
        return Proposal(2, 4.5, f"it is a {type(pipeline).__name__}")
    if match := next((found for name in names if (found := _FAST.search(name))), None):
        return Proposal(8, 1.0, f"its name says {match[0]}")
    return None


def arguments(pipeline: Any, sampler: Sampler, count: int) -> dict[str, Any]:
    """Sampler settings under the names of a pipeline's class.

    Args:
        pipeline: a diffusers pipeline.
        sampler: the settings.
        count: of questions.

    Raises:
        SuspectError: if the class cannot do what is asked.
    """
    known = inspect.signature(pipeline.__call__).parameters
    given: dict[str, Any] = {"num_inference_steps": sampler.steps, "output_type": "np"}
    if sampler.size is not None:
        given |= {"height": sampler.size, "width": sampler.size}
    if sampler.negative:
        given["negative_prompt"] = [sampler.negative] * count
    given |= _guidance(known, sampler, count)
    if absent := given.keys() - known.keys():
        raise SuspectError(
            f"{type(pipeline).__name__} takes no {', '.join(sorted(absent))}", "Plan other settings of the sampler."
        )
    return given


def _guidance(known: Any, sampler: Sampler, count: int) -> dict[str, Any]:
    """Guidance by the argument that a class means by it.

    Qwen-Image and its kin guide by `true_cfg_scale`, and only where there is a negative prompt; FLUX has that too, but
    is guided by a number that its transformer reads. Cascades guide their first stage.
    """
    true = known.get("true_cfg_scale")
    if true is not None and isinstance(true.default, int | float) and true.default > 1:
        return {"true_cfg_scale": sampler.guidance, "negative_prompt": [sampler.negative or " "] * count}
    if "guidance_scale" not in known and "prior_guidance_scale" in known:
        return {"prior_guidance_scale": sampler.guidance}
    return {"guidance_scale": sampler.guidance}
