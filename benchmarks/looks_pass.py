"""Look at all pictures of a folder by two processes, and nothing else. `python -m benchmarks.looks_pass FOLDER`"""

from __future__ import annotations

import sys
from pathlib import Path

from protect.embed.looks import take_glances
from protect.execution.budget import MemoryBudget
from protect.execution.engine import make_engine
from protect.formats import open_dataset
from protect.formats.record import Record


def usable(record: Record, data: bytes) -> None:
    """No picture is refused."""


def main() -> None:
    """Command line."""
    from benchmarks.looks_pass import usable as refusal  # by a name that other processes find

    records = list(open_dataset(Path(sys.argv[1])).records())
    seen = take_glances(records, len(records), refusal, MemoryBudget(), engine=make_engine("local", 2))
    if not seen.usable.all():
        raise SystemExit(f"{len(seen.set_aside)} pictures cannot be used")


if __name__ == "__main__":
    main()
