"""How the mock-ups of family `frame` are drawn: places, paint, rooms, streets, and what holds the picture."""
