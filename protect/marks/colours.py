"""What words can tell about a soft wash of colours, for the families that plant one."""

from __future__ import annotations

from collections.abc import Mapping

from protect.marks.signs import Waves

Told = Mapping[tuple[int, int, int], int]
"""Signs of single waves by (colour channel, vertical, horizontal) in half periods."""

DESCRIBED: dict[str, Told] = {
    f"{left} at the left and {top} at the top": {(1, 0, 1): red, (2, 1, 0): yellow}
    for left, red in (("reddish", 1), ("greenish", -1))
    for top, yellow in (("yellowish", 1), ("bluish", -1))
}
"""Two waves of every wash can be told: red against green across, yellow against blue down."""


def positions(waves: Waves, told: Told, channels: tuple[int, ...] = (0, 1, 2)) -> dict[int, int]:
    """Told signs by their position in a mark's vector of signs, whose colour channels are `channels`."""
    modes = waves.modes.tolist()
    return {channels.index(c) * len(modes) + modes.index([u, v]): sign for (c, u, v), sign in told.items()}
