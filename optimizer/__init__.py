"""The decisions: optimizer families and the second stage at a fixed plan."""
