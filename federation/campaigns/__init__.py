"""Campaigns: one or several steps, in one process, in workers, on a cluster; sweeps, storms."""
