"""The worst of a set: what a plan's second stage costs at its worst realization."""
