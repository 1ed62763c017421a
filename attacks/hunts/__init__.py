"""Hunts: how somebody who has read this program, but lacks the key, looks for carriers."""
