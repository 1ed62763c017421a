"""OpenAI's `/v1/images/generations`, which many others serve too. It takes no seed, no steps and no guidance."""

from __future__ import annotations

from typing import Any

from detect.suspects.client import Client
from detect.suspects.images.services.service import ServiceSuspect, Settings, complete, from_base64
from detect.suspects.images.suspect import Answer, Query, Sampler
from detect.suspects.reply import PassingTrouble, Reply
from protect.errors import SuspectError

PATH = "/v1/images/generations"
_POLICY_CODES = frozenset({"content_policy_violation", "moderation_blocked", "content_filter", "contentfilter"})
_POLICY_WORDS = ("content policy", "content_policy", "safety system", "moderation", "responsible ai")
_NO_SEEDS = ("no-seeds",)


class OpenAISuspect(ServiceSuspect):
    """Pictures by `b64_json` or `url`; a breach of content policy is a refusal, a `revised_prompt` is noted."""

    kind = "openai"
    usual_size = (1024, 1024)
    repeatable = False

    def __init__(self, client: Client, settings: Settings) -> None:
        super().__init__(client, settings)
        self._url = client.address if client.address.endswith("/images/generations") else complete(client.address, PATH)
        self._body = {"n": 1, "size": self.identity["size"]} | ({"model": settings.model} if settings.model else {})

    def ask(self, query: Query, sampler: Sampler) -> Answer:
        """One picture (see `ServiceSuspect.ask`)."""
        if sampler.negative:
            raise SuspectError(f"{self.name} takes no negative prompt", "Ask without one.")

        def read(reply: Reply) -> Answer:
            if 400 <= reply.status < 500 and (reason := _policy(reply)):
                return self._refused(reason, _NO_SEEDS)
            row = _only_row(self._client.expect_success(reply).fields())
            said = row.get("revised_prompt")
            if not row.get("url"):
                return self._made(from_base64(row.get("b64_json")), query, said)
            return self._elsewhere(str(row["url"]), query, said)

        return self._client.post_json(self._url, self._body | {"prompt": query.prompt}, read)

    def _elsewhere(self, url: str, query: Query, said: object) -> Answer:
        if url.startswith("data:"):
            return self._made(from_base64(url), query, said)
        return self._client.fetch(url, lambda reply: self._made(self._client.expect_success(reply).body, query, said))

    def _made(self, data: bytes, query: Query, said: object) -> Answer:
        return self._pictured(data, query.prompt, said if isinstance(said, str) else "", _NO_SEEDS)


def _only_row(found: dict[str, Any]) -> dict[str, Any]:
    rows = found.get("data")
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
        raise PassingTrouble("no picture in the answer")
    return rows[0]


def _policy(reply: Reply) -> str:
    """Why content policy forbids the picture; empty if it is something else."""
    try:
        error = reply.fields().get("error")
    except PassingTrouble:
        return ""
    if not isinstance(error, dict):
        return ""
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    forbidden = code.lower() in _POLICY_CODES or any(words in message.lower() for words in _POLICY_WORDS)
    return (message or code) if forbidden else ""
