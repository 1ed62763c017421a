"""AUTOMATIC1111's web UI, Forge and whatever else serves `/sdapi/v1/txt2img`."""

from __future__ import annotations

import json
import re
from typing import Any

from detect.suspects.client import Client
from detect.suspects.images.services.service import ServiceSuspect, Settings, complete, from_base64
from detect.suspects.images.suspect import Answer, Query, Sampler
from detect.suspects.reply import PassingTrouble, Reply

PATH = "/sdapi/v1/txt2img"
_STEERING = re.compile(r"[\\()\[\]]")


class A1111Suspect(ServiceSuspect):
    """Takes prompt, negative prompt, seed, steps, guidance and size."""

    kind = "a1111"
    usual_size = (512, 512)

    def __init__(self, client: Client, settings: Settings) -> None:
        super().__init__(client, settings)
        self._url = complete(client.address, PATH)

    def ask(self, query: Query, sampler: Sampler) -> Answer:
        """One picture (see `ServiceSuspect.ask`)."""
        body = self._body(query, sampler)

        def read(reply: Reply) -> Answer:
            found = self._client.expect_success(reply).fields()
            pictures = found.get("images")
            if not isinstance(pictures, list) or len(pictures) != 1:
                raise PassingTrouble("no picture in the answer")
            return self._pictured(from_base64(pictures[0]), str(body["prompt"]), _prompt_used(found))

        return self._client.post_json(self._url, body, read)

    def _body(self, query: Query, sampler: Sampler) -> dict[str, Any]:
        width, height = self.size_asked or self.usual_size
        body: dict[str, Any] = {
            "prompt": literal(query.prompt),
            "negative_prompt": literal(sampler.negative),
            "seed": query.seed,
            "steps": sampler.steps,
            "cfg_scale": sampler.guidance,
            "width": width,
            "height": height,
            "batch_size": 1,
            "n_iter": 1,
            "send_images": True,
            "save_images": False,
        }
        if self._settings.model:
            body["override_settings"] = {"sd_model_checkpoint": self._settings.model}
        return body


def literal(prompt: str) -> str:
    """A prompt whose brackets are read as brackets and not as emphasis or editing."""
    return _STEERING.sub(lambda found: "\\" + found[0], prompt)


def _prompt_used(found: dict[str, Any]) -> str:
    """The prompt as the server says it used it, after its own styles and wildcards; empty if it does not say."""
    try:
        said = json.loads(found["info"])["all_prompts"][0]
    except (KeyError, IndexError, TypeError, ValueError, RecursionError):
        return ""
    return said if isinstance(said, str) else ""
