"""Restoration of a network under cyber faults: one paper, read from ``planner`` down."""
