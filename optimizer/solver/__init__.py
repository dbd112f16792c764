"""Mathematics without a grid: the door to HiGHS, the decomposition loop, parametric programs."""
