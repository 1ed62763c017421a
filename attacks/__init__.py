"""Measure what a mark survives: attacks at every link between a released dataset and the answers of a model."""

from protect.quiet import silence_imports

silence_imports()
