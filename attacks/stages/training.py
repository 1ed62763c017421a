"""Attacks by how the thief trains."""

from __future__ import annotations

from dataclasses import replace

from detect.training.options import FinetuneOptions


def fewer_steps(options: FinetuneOptions, strength: float) -> FinetuneOptions:
    """Stopped early; a tenth of the steps."""
    return replace(options, steps=max(1, round(options.steps * (1 - 0.9 * strength))))


def lower_rate(options: FinetuneOptions, strength: float) -> FinetuneOptions:
    """A lower learning rate; a tenth."""
    return replace(options, learning_rate=options.learning_rate * 10**-strength)


def lower_rank(options: FinetuneOptions, strength: float) -> FinetuneOptions:
    """A LoRA of lower rank; 1."""
    return replace(options, rank=max(1, round(options.rank ** (1 - strength))))


def drop_captions(options: FinetuneOptions, strength: float) -> FinetuneOptions:
    """In each step more captions are left empty than usual; nine in ten."""
    usual = options.caption_dropout
    return replace(options, caption_dropout=usual + strength * max(0.0, 0.9 - usual))


def frozen_text(options: FinetuneOptions, strength: float) -> FinetuneOptions:
    """The text encoder is not trained, from half strength on."""
    return replace(options, text_encoder=options.text_encoder and strength < 0.5)
