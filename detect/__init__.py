"""Prove that a text-to-image model was trained on a release."""
