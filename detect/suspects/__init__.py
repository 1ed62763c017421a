"""Models under test: those that draw pictures, and those that tell classes."""
