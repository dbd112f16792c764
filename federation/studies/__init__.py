"""A study: its file read, its scenario built, its contradictions told."""
