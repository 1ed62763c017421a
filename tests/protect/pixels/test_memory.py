from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = """
import sys
from pathlib import Path
from protect.pixels.picture import obstacle, read_rgba, rewrite
data = Path(sys.argv[1]).read_bytes()
assert obstacle(data) is None
pixels = read_rgba(data)
assert len(pixels) == 4000
rewrite(data, pixels)
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured as Linux counts it")
@pytest.mark.parametrize("progressive", [False, True])
def test_a_turned_photograph_of_12_megapixels_needs_less_than_450_mb(tmp_path: Path, progressive: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((4000, 3000))
    image.save(tmp_path / "large.jpg", quality=90, exif=exif, progressive=progressive)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "large.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 450_000
