"""How long it takes to check an evidence bundle of 100 MB. `python -m benchmarks.bundle_time --work W [--rounds 5]`

The default release of the sample dataset; answers are noise of 360 pixels a side, which cannot be packed smaller. The
bundle is checked by `detect verify` in a process of its own, without a keyring.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import Clock, keyring_in, marked_copy, write_result
from benchmarks.embed_cost import measured
from detect.bundle.write import write_bundle
from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect
from detect.trial.judge import detect
from protect.keys.tree import secret_from_seed
from protect.release.plan import WORDING, Options
from protect.sample import unpack_sample

SIDE = 360
VERIFY = "from cli import detect_main; detect_main()"


class Noise(Suspect):
    """Draws noise, the same to the same question."""

    def __init__(self) -> None:
        self.name, self.identity = "noise", {"weights": "noise"}

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        """One picture for each question."""
        return [Answer(self._drawn(query)) for query in queries]

    def _drawn(self, query: Query) -> np.ndarray:
        said = hashlib.sha256(query.prompt.encode()).digest()[:8]
        rng = np.random.default_rng([query.seed, int.from_bytes(said, "big")])
        return rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    given, clock = parser.parse_args(), Clock()
    work: Path = given.work
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    unpack_sample(work / "dataset")
    keyring, options = keyring_in(work / "keyring"), Options.of(WORDING, steps=12)
    secret = secret_from_seed(0, "bundle time")
    bound = marked_copy(work / "dataset", work / "copy", options, keyring, secret)
    verdict = detect(bound, Noise(), keyring, work / "cache")
    path = work / "case.zip"
    write_bundle(path, verdict, keyring, "<html>page</html>")
    command = [sys.executable, "-c", VERIFY, "verify", str(path)]
    rounds = [measured(command, work / "nobody") for _ in range(given.rounds)]
    write_result(
        "bundle_time",
        {
            "bytes": path.stat().st_size,
            "answers": verdict.queries,
            "outcome": verdict.outcome,
            "seconds_each": [seconds for seconds, _ in rounds],
            "peak_mib": max(peak for _, peak in rounds),
            "target": "30 s",
        },
        clock(),
    )


if __name__ == "__main__":
    main()
