"""What is done with results folders as a whole: taken in, joined, kept, checked, made again."""
