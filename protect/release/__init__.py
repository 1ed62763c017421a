"""protect/release."""
