"""LinDist3Flow and what stands on it: flow, devices, limits, radiality, the first stage."""
