"""A hundred thousand damaged files: what becomes of them. `python -m benchmarks.fuzz`

Each case is made from its number and the name of its target (tests/fuzz): any can be looked at alone.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.common import write_result
from tests.fuzz.running import run
from tests.fuzz.targets import TARGETS

CASES = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES)
    cases, start = parser.parse_args().cases, time.monotonic()
    rows, total = {}, 0
    for name, target in TARGETS.items():
        begun = time.monotonic()
        found = run(name, round(cases * target.share))
        total += found.counts.total()
        rows[name] = {
            "cases": found.counts.total(),
            "became": dict(found.counts.most_common()),
            "faults": {str(number): text.splitlines()[-1] for number, text in list(found.faults.items())[:20]},
            "seconds": round(time.monotonic() - begun, 1),
        }
        print(name, rows[name], file=sys.stderr, flush=True)
    write_result("fuzz", {"cases": total, "targets": rows}, time.monotonic() - start)


if __name__ == "__main__":
    main()
