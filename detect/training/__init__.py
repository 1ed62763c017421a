"""detect/training."""
