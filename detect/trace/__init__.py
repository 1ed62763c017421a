"""Whose copy did a model learn from? Tests of all recipients at once, and of one that says "mine"."""
