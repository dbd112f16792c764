"""AC certificates: every load of a set has a power flow inside every limit, or which has none."""
