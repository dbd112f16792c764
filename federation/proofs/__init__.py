"""What is proven of plans over load sets, and plans that are made until it is."""
