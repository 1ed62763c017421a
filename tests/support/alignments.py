"""Alignments by what tests can ask of them."""

from __future__ import annotations

from protect.alignments import alignments

_OF_THEIR_OWN = {"waa-many"}
"""They need captions that most tests do not have, and have tests of their own."""

PAINTED = sorted(name for name, kind in alignments().items() if not kind.chooses and name not in _OF_THEIR_OWN)
"""For marks that are painted, so that carriers do not follow from them."""
WITH_WORDS = [name for name in PAINTED if not alignments()[name].for_classifiers]
"""Those for text-to-image models."""
