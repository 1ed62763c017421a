"""Mapping work over shards and pictures. Memory is bounded by a budget in bytes, not by the number of cores."""
