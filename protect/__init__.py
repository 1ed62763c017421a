"""Plant marks in an image-caption dataset before release."""

__version__ = "0.2.0.dev0"
