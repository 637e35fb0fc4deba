"""Who is told what happens while a sweep runs: a terminal, plain lines, the file of events."""
