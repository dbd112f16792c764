"""Networks that a publication describes and nobody published, built from what it says."""
