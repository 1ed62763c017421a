"""Numerical libraries use one thread in tests: on a busy machine, several wait for each other by spinning.

For the same reason no example of a property has a deadline.
"""

import os

from hypothesis import settings

for _library in ("OPENBLAS", "OMP"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")  # read when numpy and torch are first imported
settings.register_profile("tracemark", deadline=None)
settings.load_profile("tracemark")
