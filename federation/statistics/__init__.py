"""Shares, their intervals, paired and sequential."""
