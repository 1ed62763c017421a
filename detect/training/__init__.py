"""Training suspects on purpose: fine-tuning as a thief would do it, rehearsals, several trainings side by side."""
