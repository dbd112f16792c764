"""Methods: the door to the solver, the decomposition loop, separation."""
