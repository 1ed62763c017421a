"""attacks/stages."""
