"""Plant marks in an image-caption dataset before release."""

__version__ = "0.1.0"
