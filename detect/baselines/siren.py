"""SIREN's rule (IEEE S&P 2025, arXiv 2410.10437): do the suspect's scores exceed those of one clean model?"""

from __future__ import annotations

from scipy import stats

from detect.baselines.rule import BaselineVerdict
from protect.errors import InputError
from protect.marks.family import Array

SUSPECT_OUTPUTS, CLEAN_OUTPUTS = 30, 300
"""As in the paper."""


def siren(suspect: Array, clean: Array, alpha: float = 1e-3) -> BaselineVerdict:
    """One-sided two-sample Kolmogorov-Smirnov test at a nominal level.

    Args:
        suspect: score of each of the suspect's outputs, shape (n,); the paper takes 30.
        clean: the same of one clean model; the paper takes 300.
        alpha: nominal level.

    Raises:
        InputError: if either is empty.
    """
    if not len(suspect) or not len(clean):
        raise InputError("a two-sample test of no outputs", "Give outputs of the suspect and of a clean model.")
    p = float(stats.ks_2samp(suspect, clean, alternative="less").pvalue)
    return BaselineVerdict(
        "siren",
        p < alpha,
        p,
        alpha,
        "tests whether the suspect is that one clean model: another base, prompt or sampler is enough to be accused",
    )
