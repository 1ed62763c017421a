"""ComfyUI: a workflow goes to `/prompt`, `/history` says when it is done, `/view` gives the picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from detect.suspects.client import Client
from detect.suspects.images.services.service import ServiceSuspect, Settings
from detect.suspects.images.services.workflow import Values, Workflow
from detect.suspects.images.suspect import Answer, Query, Sampler
from detect.suspects.reply import PassingTrouble, Reply
from protect.errors import InputError, SuspectError

_LONGEST_WAIT = 1_800.0
"""Seconds for one picture, the queue before it included."""
_FIRST_LOOK, _SLOWEST_LOOK = 0.1, 2.0
"""Seconds between two looks at the history."""


class ComfyUISuspect(ServiceSuspect):
    """Runs a workflow of the owner's for each question."""

    kind = "comfyui"
    usual_size = None

    def __init__(
        self,
        client: Client,
        settings: Settings,
        sleep: Callable[[float], None] = time.sleep,
        longest_wait: float = _LONGEST_WAIT,
    ) -> None:
        super().__init__(client, settings)
        if not settings.workflow:
            raise InputError("ComfyUI needs a workflow", "Give --workflow FILE, exported with Export (API).")
        self._workflow = Workflow(settings.workflow, "--workflow")
        self.repeatable = self._workflow.has_seed
        self._base = client.address.removesuffix("/prompt")
        self._sleep, self._longest_wait = sleep, longest_wait
        self.identity["workflow"] = sha256(settings.workflow.encode()).hexdigest()
        if self._workflow.has_size != (settings.size is not None):
            raise InputError(
                "the workflow has places for a size" if self._workflow.has_size else "the workflow has no {width}",
                "Give --size WIDTHxHEIGHT." if self._workflow.has_size else "Drop --size, or put placeholders in.",
            )
        if settings.model:
            raise InputError(f"a workflow names its own model, not {settings.model!r}", "Drop --service-model.")

    def ask(self, query: Query, sampler: Sampler) -> Answer:
        """One picture (see `ServiceSuspect.ask`)."""
        if sampler.negative and not self._workflow.has_negative:
            raise SuspectError("the workflow has no {negative}", "Put a placeholder in, or ask without one.")
        graph = self._workflow.filled(self._values(query, sampler))
        number = self._client.post_json(f"{self._base}/prompt", {"prompt": graph}, self._number)
        flags = () if self._workflow.has_seed else ("no-seeds",)
        where = urlencode(self._finished(number))
        return self._client.get(
            f"{self._base}/view?{where}",
            lambda reply: self._pictured(self._client.expect_success(reply).body, query.prompt, "", flags),
        )

    def _values(self, query: Query, sampler: Sampler) -> Values:
        values: Values = {
            "prompt": query.prompt,
            "negative": sampler.negative,
            "seed": query.seed,
            "steps": sampler.steps,
            "guidance": sampler.guidance,
        }
        if self._settings.size:
            values["width"], values["height"] = self._settings.size
        return values

    def _number(self, reply: Reply) -> str:
        """What the server calls the work it was given."""
        number = self._client.expect_success(reply).fields().get("prompt_id")
        if not isinstance(number, str) or not number.replace("-", "").isalnum():
            raise PassingTrouble("no number of the work")
        return number

    def _finished(self, number: str) -> dict[str, str]:
        """Wait for the work; where its picture lies."""
        waited, pause = 0.0, _FIRST_LOOK
        while waited <= self._longest_wait:
            place = self._client.get(f"{self._base}/history/{number}", lambda reply: self._place(reply, number))
            if place is not None:
                return place
            self._sleep(pause)
            waited, pause = waited + pause, min(2 * pause, _SLOWEST_LOOK)
        raise SuspectError(
            f"{self.name} has not drawn a picture after {self._longest_wait:g} s", "Look at its queue, then run again."
        )

    def _place(self, reply: Reply, number: str) -> dict[str, str] | None:
        """Where the one picture lies; None while it is not drawn."""
        done = self._client.expect_success(reply).fields().get(number)
        if done is None:
            return None
        if not isinstance(done, dict) or not isinstance(done.get("outputs", {}), dict):
            raise PassingTrouble("a history that cannot be read")
        status = done.get("status")
        if isinstance(status, dict) and status.get("status_str") == "error":
            said = self._client.foreign(str(status.get("messages", "")))
            raise SuspectError(f"{self.name} could not run the workflow: {said}", "Run it in ComfyUI itself.")
        return self._only(list(done.get("outputs", {}).values()))

    def _only(self, outputs: list[Any]) -> dict[str, str]:
        """The one picture that was saved; previews count only where nothing is saved."""
        rows = [row for output in outputs if isinstance(output, dict) for row in output.get("images") or []]
        rows = [row for row in rows if isinstance(row, dict) and isinstance(row.get("filename"), str)]
        saved = [row for row in rows if row.get("type") == "output"] or rows
        if len(saved) != 1:
            raise SuspectError(
                f"the workflow gives {len(saved)} pictures for a question, not one",
                "Keep one Save Image node and a batch of one.",
            )
        return {name: str(saved[0].get(name, "")) for name in ("filename", "subfolder", "type")}
