"""The federates, what stands between command and device, and how they are run."""
