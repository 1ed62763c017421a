"""detect/reports."""
