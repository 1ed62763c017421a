"""Errors of the libraries that open models, in this project's words: what is really missing, and what helps."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from detect.suspects.images.weights import first_line
from protect.errors import SuspectError

_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_NEEDS_LIBRARY = re.compile(
    r"requires the (\w+) library|`?pip install(?: -U)? ([\w\[\]-]+)`?|([\w-]+) (?:is|was) not (?:installed|found)"
)
_NO_CLASS = re.compile(r"(?:module '?(diffusers|transformers)[\w.]*'? )?has no attribute '?(\w+)'?")
_PACKAGES = ("sentencepiece", "protobuf", "tiktoken", "bitsandbytes")
"""What tokenizers and quantised weights ask for, under pip's names."""


def loading_error(path: Path, error: Exception) -> SuspectError:
    """Why a model could not be loaded."""
    text = str(error)
    if package := _missing_package(error, text):
        return SuspectError(
            f"{path} needs the package {package}, which is not installed", f"Install it: pip install {package}"
        )
    if match := _NO_CLASS.search(text):
        library = match[1] or "diffusers"
        return SuspectError(
            f"{path} needs {match[2]}, which {library} {importlib.metadata.version(library)} has not",
            f"Install a newer one: pip install -U {library}; if it is code of the model's own, it is not run here.",
        )
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return SuspectError(
            f"there is not enough memory for {path} ({first_line(error)})",
            "Give --dtype bfloat16 or --offload model, or a machine with more memory.",
        )
    if "trust_remote_code" in text or "custom code" in text:
        return SuspectError(f"{path} brings code of its own, which is not run here", "Export it as a plain pipeline.")
    return SuspectError(f"{path} cannot be loaded as a pipeline ({first_line(error)})", "Download or export it again.")


def _missing_package(error: Exception, text: str) -> str | None:
    """The package that an error asks for, if that is what it is about."""
    if match := _NO_MODULE.search(text):
        return match[1].split(".")[0]
    if isinstance(error, ImportError) or any(name in text.lower() for name in _PACKAGES):
        known = next((name for name in _PACKAGES if name in text.lower()), None)
        if known and _absent(known):
            return known
        if isinstance(error, ImportError) and (match := _NEEDS_LIBRARY.search(text)):
            return next(group for group in match.groups() if group)
    return None


def _absent(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return True
    return False
