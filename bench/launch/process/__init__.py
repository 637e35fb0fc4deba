"""The process that a trial has for itself, forked or a command: what it leaves, and what is heard from it."""
