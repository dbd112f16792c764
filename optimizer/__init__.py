"""The decisions: optimizer families and the second stage at a fixed plan."""

import scipy  # noqa: F401  (before Pyomo, whose import hook would take in scipy.stats with it)
