"""The second stage at a fixed plan: fixed, participation, linear and AC re-dispatch."""
