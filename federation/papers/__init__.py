"""Publications' tables run anew and set beside the print."""
