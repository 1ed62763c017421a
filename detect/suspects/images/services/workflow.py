"""A ComfyUI workflow with placeholders: what is put where the question's prompt, seed and settings belong."""

from __future__ import annotations

import json
from typing import Any

from protect.errors import InputError

Values = dict[str, str | int | float]
"""What stands for each placeholder, by name."""

NAMES = ("prompt", "negative", "seed", "steps", "guidance", "width", "height")
_SIZES = ("width", "height")


class Workflow:
    """A node graph in API format.

    A text that is nothing but `{seed}` becomes the number; `{prompt}` within a longer text becomes that part of it.
    """

    def __init__(self, text: str, name: str) -> None:
        """Read a workflow.

        Args:
            text: JSON.
            name: what errors call it.

        Raises:
            InputError: if it is not in API format, or has no place for the prompt.
        """
        try:
            graph = json.loads(text)
        except (ValueError, RecursionError):
            raise InputError(f"{name} is no JSON", "Export it from ComfyUI: Workflow, Export (API).") from None
        nodes = graph.values() if isinstance(graph, dict) else []
        if not nodes or not all(isinstance(node, dict) and "class_type" in node for node in nodes):
            kind = "in the editor's format" if isinstance(graph, dict) and "nodes" in graph else "no workflow"
            raise InputError(f"{name} is {kind}", "Export it from ComfyUI: Workflow, Export (API).")
        self._graph = graph
        self._places = frozenset(found for found in NAMES if _mentions(graph, found))
        if "prompt" not in self._places:
            raise InputError(
                f"{name} has no {{prompt}}, so every picture would be of the same words",
                f"Write placeholders into its texts and numbers: {', '.join(f'{{{n}}}' for n in NAMES)}.",
            )

    @property
    def has_seed(self) -> bool:
        """Whether questions' seeds are put in."""
        return "seed" in self._places

    @property
    def has_size(self) -> bool:
        """Whether a size is put in."""
        return bool(self._places & set(_SIZES))

    @property
    def has_negative(self) -> bool:
        """Whether a negative prompt is put in."""
        return "negative" in self._places

    def filled(self, values: Values) -> Any:
        """The graph with values in all places."""
        return _filled(self._graph, values)


def _mentions(part: object, name: str) -> bool:
    if isinstance(part, dict):
        return any(_mentions(value, name) for value in part.values())
    if isinstance(part, list):
        return any(_mentions(value, name) for value in part)
    return isinstance(part, str) and f"{{{name}}}" in part


def _filled(part: Any, values: Values) -> Any:
    if isinstance(part, dict):
        return {name: _filled(value, values) for name, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, values) for value in part]
    return _filled_text(part, values) if isinstance(part, str) else part


def _filled_text(text: str, values: Values) -> str | int | float:
    """One pass from left to right: what is put in is not searched again, since prompts may hold braces."""
    if text.startswith("{") and text.endswith("}") and text[1:-1] in values:
        return values[text[1:-1]]
    pieces, rest = [], text
    while found := min(((rest.find(f"{{{n}}}"), n) for n in values if f"{{{n}}}" in rest), default=None):
        place, name = found
        pieces += [rest[:place], str(values[name])]
        rest = rest[place + len(name) + 2 :]
    return "".join([*pieces, rest])
