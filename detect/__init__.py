"""Find out whether a model learned from a release: suspects, trials, trainings, provenance of classifiers, pages."""

import logging

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft imports it where it is; it advises on what is not used
