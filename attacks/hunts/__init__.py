"""attacks/hunts."""
