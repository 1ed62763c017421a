"""Measurements of this project; results lie in `results/` with the commands that made them."""
