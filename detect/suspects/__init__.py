"""detect/suspects."""
