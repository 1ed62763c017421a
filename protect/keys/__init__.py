"""protect/keys."""
