"""Numerical libraries use one thread in tests: on a busy machine, several wait for each other by spinning.

Such a machine also stands still for moments. So an example of a property may take five seconds: properties say what is
true of any input, and how quickly commands answer has tests of its own.
"""

import os
from datetime import timedelta

from hypothesis import settings

for _library in ("OPENBLAS", "OMP"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")  # read when numpy and torch are first imported
settings.register_profile("tracemark", deadline=timedelta(seconds=5))
settings.load_profile("tracemark")
