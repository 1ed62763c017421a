"""Errors meant for people.

::

    TracemarkError            anything this project refuses, with advice
    ├── InputError            bad arguments, files or datasets (exit code 2)
    ├── ReleaseError          a release record or the keyring is unusable (exit code 2)
    ├── SuspectError          a suspect model cannot be loaded or queried (exit code 2)
    └── EvidenceError         scores from which no honest number can be computed (exit code 2)
"""

from __future__ import annotations


class TracemarkError(Exception):
    """A refusal in at most two lines: what failed with its value, then what to do.

    Args:
        what: what failed, the value and what is allowed.
        advice: the next step, printed on a second line.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"{what}\n{advice}" if advice else what)
        self.what = what
        self.advice = advice

    def __reduce__(self) -> tuple[type[TracemarkError], tuple[str, str]]:
        """Errors cross processes whole."""
        return type(self), (self.what, self.advice)


class InputError(TracemarkError):
    """Bad arguments, files or datasets."""


class ReleaseError(TracemarkError):
    """A release record or the keyring is unusable."""


class SuspectError(TracemarkError):
    """A suspect model cannot be loaded or queried."""


class EvidenceError(TracemarkError):
    """Scores from which no honest number can be computed."""
