"""How long trials take, and how much time is left."""
