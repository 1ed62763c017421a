"""What foreign libraries print when they are imported."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys

import pytest

from protect.quiet import silence_imports

IMPORTS = """
import importlib, sys
importlib.import_module(sys.argv[1])
assert "diffusers" not in sys.modules
from diffusers import AutoencoderKL
assert "bitsandbytes.backends.cpu.ops" in sys.modules
"""


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("module", ["protect.vae", "attacks"])
def test_importing_diffusers_says_nothing_of_kernels(module: str) -> None:
    run = subprocess.run([sys.executable, "-c", IMPORTS, module], capture_output=True, text=True, check=True)
    assert "gemm_4bit" not in run.stderr + run.stdout


def test_only_that_line_is_silenced(caplog: pytest.LogCaptureFixture) -> None:
    silence_imports()
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    logger.warning("Failed to load CPU gemm_4bit_forward from kernels-community: %s.", "no module")
    logger.warning("Failed to load %s", "something else")
    logging.getLogger("bitsandbytes").warning("this GPU is too old")
    assert [record.getMessage() for record in caplog.records] == [
        "Failed to load something else",
        "this GPU is too old",
    ]
