"""Measure what a mark survives."""
