"""LinDist3Flow as an engine, under the same contract as OpenDSS."""
