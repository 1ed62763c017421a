"""How much memory planting takes, measured in a process of its own: `python -m tests.support.memory FAMILY …`.

`tracemalloc` sees only what Python and numpy ask for. Pillow's buffers count as well, so the system is asked.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

STATUS = Path("/proc/self/status")
"""Where Linux says how much memory a process has and had."""


def bytes_per_pixel(
    family: str, options: dict[str, float | str], store: Path, kind: str, size: tuple[int, int]
) -> float:
    """Peak memory above the picture itself while `obstacle` and `plant` run, for each pixel.

    Args:
        family: its name.
        options: its options.
        store: folder of its store.
        kind: "photograph", "ground" (an even one with a thing on it) or "transparent".
        size: height and width.
    """
    arguments = [family, json.dumps(options), str(store), kind, str(size[0]), str(size[1])]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.memory", *arguments],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def _picture(kind: str, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 4), 255, dtype=np.uint8)
    if kind == "ground":
        picture[height // 4 : height // 2, width // 4 : width // 2, :3] = (200, 30, 60)
        return picture
    for top in range(0, height, 100):
        block = picture[top : top + 100, :, :3]
        block[...] = rng.integers(40, 220, (1, 1, 3)) + rng.integers(-30, 30, block.shape)
    if kind == "transparent":
        picture[: height // 4, :, 3] = 0
        picture[height // 4 : height // 3, :, 3] = 128
    return picture


def _kilobytes(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text())
    assert found
    return int(found.group(1))


def _measure(family: str, options: str, store: str, kind: str, height: str, width: str) -> float:
    from protect.keys.store import Store
    from protect.marks import make_family

    law = make_family(family, json.loads(options), Store(Path(store)))
    small = _picture(kind, 256, 256)
    law.obstacle(small)
    law.plant(small, 1, np.random.default_rng(0))  # whatever is imported and computed once
    picture = _picture(kind, int(height), int(width))
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _kilobytes("VmRSS")
    law.obstacle(picture)
    law.plant(picture, 1, np.random.default_rng(0))
    return 1024 * (_kilobytes("VmHWM") - before) / (int(height) * int(width))


if __name__ == "__main__":
    print(_measure(*sys.argv[1:]))
