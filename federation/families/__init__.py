"""What a family of optimizers adds to studies and records, one file each."""
