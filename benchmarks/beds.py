"""How well do the models draw that other benchmarks tune in place of the miniature?

    python -m benchmarks.beds --bed transformer W/model W/base.npy W/base.json --bed photographs ...

Of each bed are given its name, a pipeline, the pictures that it learned, and their captions; see the recipes in
`examples/`. The result says how often a drawing is nearer to the picture whose caption was its prompt than to another.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import Clock, write_result

DRAWINGS, STEPS, GUIDANCE = 48, 12, 3.0
_RECIPE = Path(__file__).parents[1] / "examples" / "measure_drawings.py"


def drawn(model: str, pictures: str, captions: str) -> dict[str, Any]:
    """How near the drawings of a model come to what was asked."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(_RECIPE), "--model", model, "--pictures", pictures, "--captions", captions]
        command += ["--output", folder, "--count", str(DRAWINGS)]
        command += ["--steps", str(STEPS), "--guidance", f"{GUIDANCE:g}"]
        subprocess.run(command, check=True)
        measured: dict[str, Any] = json.loads((Path(folder) / "measures.json").read_text())
        return measured


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--bed", nargs=4, action="append", required=True, metavar=("NAME", "MODEL", "PICTURES", "CAPTIONS")
    )
    clock, beds = Clock(), {name: drawn(*bed) for name, *bed in parser.parse_args().bed}
    write_result("beds", {"beds": beds}, clock())


if __name__ == "__main__":
    main()
