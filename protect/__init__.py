"""Plant marks in an image-caption dataset before release."""

from protect.quiet import silence_imports

__version__ = "0.2.0.dev0"

silence_imports()
