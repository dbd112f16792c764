"""The sections of a study file, each key with its type, range and unit."""
