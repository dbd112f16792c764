"""Robust partitioning and operation: one paper, read from ``planner`` down."""
