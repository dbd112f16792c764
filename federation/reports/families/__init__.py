"""Tables and figures that only one family has."""
