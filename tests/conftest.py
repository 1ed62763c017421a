"""Numerical libraries use one thread in tests: on a busy machine, several wait for each other by spinning."""

import os

for _library in ("OPENBLAS", "OMP"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")  # read when numpy and torch are first imported
