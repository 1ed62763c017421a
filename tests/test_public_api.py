"""What docs/api.md promises to Python users: these names, with these parameters."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

PROMISED = {
    "protect.embed.write.embed": ["folder", "output", "options", "keyring"],
    "protect.release.plan.usual_part": ["rate", "family", "alignment"],
    "protect.keys.keyring.Keyring": ["home"],
    "detect.suspects.images.load_suspect": ["models", "base", "device"],
    "detect.trial.judge.detect": ["bound", "suspect", "keyring", "cache", "control", "reference", "departures"],
    "detect.bundle.write.write_bundle": ["path", "verdict", "keyring", "page"],
    "detect.bundle.verify.verify_bundle": ["path", "certificates", "signer"],
}
"""Full name, and the parameters that are there in this order, others between them aside."""
DOCS = Path(__file__).parents[1] / "docs" / "api.md"


@pytest.mark.parametrize("name", PROMISED)
def test_promised_names_have_their_parameters(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    found = [p for p in inspect.signature(getattr(import_module(module), attribute)).parameters if p != "self"]
    kept = [parameter for parameter in found if parameter in PROMISED[name]]
    assert kept == PROMISED[name]


def test_the_page_lists_what_is_promised() -> None:
    listed = set(re.findall(r"auto(?:function|class):: (\S+)", DOCS.read_text(encoding="utf-8")))
    assert set(PROMISED) <= listed
    for name in listed:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name
