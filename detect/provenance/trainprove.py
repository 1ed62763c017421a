"""The rule of TrainProVe (CVPR 2025, arXiv 2503.09122), faithful, and not our verdict.

The owner trains a shadow classifier on pictures of the generator and compares accuracies on further pictures of it,
batch by batch. The paper says "guilty" where a one-sided Grubbs test does *not* find the suspect worse than the shadow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from detect.classifiers.interface import Answers
from protect.errors import EvidenceError, InputError

Variant = Literal["accuracy", "entropy", "similarity"]
VARIANTS: tuple[Variant, ...] = ("accuracy", "entropy", "similarity")
BATCH, ALPHA = 128, 0.05
"""Of the released code (CIFAR; 16 for ImageNet-100)."""
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
    """Critical value of the one-sided Grubbs test.

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
    """One number per whole batch: accuracy, mean entropy of the softmax, or mean cosine of scores within classes.

    Raises:
        InputError: if the variant needs scores and there are none, or there are fewer than three batches.
    """
    count = len(truth) // batch
    if count < 3:
        raise InputError(f"{len(truth)} pictures make {count} batches of {batch}", "Use three batches or more.")
    if variant == "accuracy":
        return np.asarray((answers.labels == truth)[: count * batch].reshape(count, batch).mean(axis=1))
    if answers.scores is None:
        raise InputError(f"variant {variant!r} needs scores, and the suspect gives labels only", "Use 'accuracy'.")
    parts = [slice(k * batch, (k + 1) * batch) for k in range(count)]
    if variant == "entropy":
        return np.array([_entropy(answers.scores[part]) for part in parts])
    return np.array([_similarity(answers.scores[part], truth[part]) for part in parts])


def trainprove(
    shadow: Answers, suspect: Answers, truth: NDArray[np.intp], *, variant: Variant = "accuracy", batch: int = BATCH,
    alpha: float = ALPHA,
) -> PaperVerdict:  # fmt: skip
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


def _entropy(scores: NDArray[np.float64]) -> float:
    logp = scores - scores.max(axis=1, keepdims=True)
    logp -= np.log(np.exp(logp).sum(axis=1, keepdims=True))
    return float(-(np.exp(logp) * logp).sum(axis=1).mean())


def _similarity(scores: NDArray[np.float64], truth: NDArray[np.intp]) -> float:
    """Mean cosine between the scores of pictures of one class, over all pairs of the batch."""
    unit = scores / np.maximum(np.linalg.norm(scores, axis=1, keepdims=True), 1e-12)
    same = (truth[:, None] == truth[None, :]) & ~np.eye(len(truth), dtype=bool)
    return float((unit @ unit.T)[same].mean()) if same.any() else 0.0
