"""Pages and plots of verdicts, for people."""
