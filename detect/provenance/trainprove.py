"""The rule of TrainProVe (CVPR 2025, arXiv 2503.09122), faithful, and not our verdict.

The owner trains a shadow classifier on pictures of the generator and compares accuracies on further pictures of it,
batch by batch. The paper says "guilty" where a Grubbs test does *not* find the suspect worse than the shadow. Shuffling
is by a fixed seed here; else this follows the released code where that can be run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from detect.suspects.classifiers.classifier import Answers
from protect.errors import EvidenceError, InputError

Variant = Literal["accuracy", "entropy", "similarity"]
VARIANTS: tuple[Variant, ...] = ("accuracy", "entropy", "similarity")
BATCH, ALPHA = 128, 0.05
"""Of the released code (CIFAR; 16 for ImageNet-100)."""
_SHUFFLE = 0
FLAWS = (
    "guilty means that innocence was not shown: nothing bounds how often innocents are accused",
    "the batch size sets the margin: smaller batches spread more, and acquit less",
    "a suspect that is better than the shadow is always guilty",
    "answering wrongly now and then acquits",
)


@dataclass(frozen=True, slots=True)
class PaperVerdict:
    """What the paper's rule says."""

    variant: Variant
    statistic: float
    """How far the suspect's mean lies beyond the shadow's, in standard deviations of single batches."""
    critical: float
    accused: bool
    shadow_batches: tuple[float, ...]
    suspect_mean: float


def grubbs_critical(n: int, alpha: float) -> float:
    """Critical value of the Grubbs test, by the paper's code: with alpha / 2n as for two sides, though it looks at one.

    Args:
        n: batches, 3 or more.
        alpha: level.

    >>> round(grubbs_critical(40, 0.05), 3)
    3.036
    """
    q = stats.t.ppf(1 - alpha / (2 * n), n - 2)
    return float((n - 1) / np.sqrt(n) * np.sqrt(q**2 / (n - 2 + q**2)))


def batch_values(
    answers: Answers, truth: NDArray[np.intp], variant: Variant, batch: int = BATCH
) -> NDArray[np.float64]:
    """What the rule compares.

    Accuracy, or mean entropy of the softmax: one number per batch of the shuffled pictures, the last one partial. Mean
    cosine of scores (negative ones count as 0): one number per class.

    Raises:
        InputError: if the variant needs scores and there are none, or there are fewer than three numbers.
    """
    if variant != "accuracy" and answers.scores is None:
        raise InputError(f"variant {variant!r} needs scores, and the suspect gives labels only", "Use 'accuracy'.")
    if variant == "similarity":
        assert answers.scores is not None
        parts = [answers.scores[truth == c] for c in np.unique(truth)]
        values = np.array([_similarity(part) for part in parts if len(part) > 1])
    else:
        each = answers.labels == truth if answers.scores is None or variant == "accuracy" else _entropy(answers.scores)
        mixed = each[np.random.default_rng(_SHUFFLE).permutation(len(truth))]
        values = np.array([mixed[start : start + batch].mean() for start in range(0, len(truth), batch)])
    if len(values) < 3:
        raise InputError(f"{len(truth)} pictures make {len(values)} batches of {batch}", "Use three or more.")
    return values


def trainprove(
    shadow: Answers,
    suspect: Answers,
    truth: NDArray[np.intp],
    *,
    variant: Variant = "accuracy",
    batch: int = BATCH,
    alpha: float = ALPHA,
) -> PaperVerdict:
    """The paper's verdict on one suspect.

    Args:
        shadow: the shadow classifier's answers to the validation pictures.
        suspect: the suspect's answers to the same pictures.
        truth: classes the pictures were generated for, shape (n,).
        variant: what is compared; entropy counts as worse where it is higher, the others where they are lower.
        batch: pictures per batch.
        alpha: level of the Grubbs test.

    Raises:
        InputError: see `batch_values`.
        EvidenceError: if the shadow is the same on all batches.
    """
    values = batch_values(shadow, truth, variant, batch)
    mean = float(batch_values(suspect, truth, variant, batch).mean())
    spread = float(values.std(ddof=1))
    if spread == 0:
        raise EvidenceError("the shadow scores the same on every batch", "Use more or harder pictures.")
    beyond = mean - values.mean() if variant == "entropy" else values.mean() - mean
    critical = grubbs_critical(len(values), alpha)
    statistic = float(beyond / spread)
    return PaperVerdict(variant, statistic, critical, statistic <= critical, tuple(map(float, values)), mean)


def _entropy(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the softmax, one number a picture."""
    logarithms = special.log_softmax(scores, axis=1)
    return np.asarray(-(np.exp(logarithms) * logarithms).sum(axis=1))


def _similarity(scores: NDArray[np.float64]) -> float:
    """Mean cosine between all pairs of rows."""
    unit = scores / np.maximum(np.linalg.norm(scores, axis=1, keepdims=True), 1e-12)
    cosines = np.clip(unit @ unit.T, 0, 1)
    return float(cosines[~np.eye(len(unit), dtype=bool)].mean())
