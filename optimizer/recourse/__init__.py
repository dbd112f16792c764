"""The second stage at a fixed plan: fixed, participation, affine, linear and AC re-dispatch."""
