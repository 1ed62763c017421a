"""Find out whether a model learned from a release: suspects, trials, trainings, provenance of classifiers, pages."""

from protect.quiet import silence_imports

silence_imports()
