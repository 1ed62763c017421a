"""Whom copies were given to: the ledger, and copies whose captions only their recipient has."""
