"""Evidence bundles: everything that a verdict rests on, in one file that a third party checks offline without torch."""
