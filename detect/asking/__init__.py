"""Questions for somebody else to put to a suspect that nobody can run here."""
