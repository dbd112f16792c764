"""Constraint families: each ``add_<quantity>`` adds one named Pyomo block, an equation each."""
