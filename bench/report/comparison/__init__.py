"""The frameworks compared, pair by pair."""
