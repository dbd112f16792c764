"""OpenDSS as an engine: the circuit, its elements and sources, what is measured of it."""
