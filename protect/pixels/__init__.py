"""protect/pixels."""
