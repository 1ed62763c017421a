"""detect/trial."""
