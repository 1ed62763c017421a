"""protect/embed."""
