"""One table, and how it is set: on a terminal, in a page, in files."""
