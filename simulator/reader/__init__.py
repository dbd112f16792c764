"""A feeder as columns, read from the circuit that OpenDSS compiled."""
