"""Restoration of a distribution network under cyber faults: one paper, read from ``planner`` down."""
