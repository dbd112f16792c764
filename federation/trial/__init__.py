"""The one loop that tries a plan."""
