"""The rules of other papers, as their authors state them, for comparison; never our verdict.

All of them compare with clean models that someone has to find, so none has a false-accusation rate that anyone knows.
"""

from detect.baselines.diagnosis import SignalClassifier, diagnosis, train_signal_classifier
from detect.baselines.entruth import entruth, entruth_threshold
from detect.baselines.rule import BaselineVerdict, scores_of_outputs
from detect.baselines.siren import siren

__all__ = [
    "BaselineVerdict",
    "SignalClassifier",
    "diagnosis",
    "entruth",
    "entruth_threshold",
    "scores_of_outputs",
    "siren",
    "train_signal_classifier",
]
