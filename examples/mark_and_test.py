"""Mark a dataset, and test a suspect model later, from Python.

python examples/mark_and_test.py DATASET SUSPECT_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from detect.suspects.images import load_suspect
from detect.trial.judge import detect
from protect.embed.write import embed
from protect.files import default_cache
from protect.keys.keyring import Keyring
from protect.release.plan import Options, usual_part

if __name__ == "__main__":
    dataset, suspect = map(Path, sys.argv[1:3])
    keyring = Keyring.default()  # ~/.tracemark, or TRACEMARK_HOME; back it up
    copy = dataset.with_name(f"{dataset.name}-protected")
    release = embed(dataset, copy, Options.of(usual_part()), keyring).bound
    verdict = detect(release, load_suspect(suspect), keyring, default_cache())
    print(verdict.outcome, f"E = {verdict.e_value:,.4g}, p = {verdict.p_value:.2g}")
