"""What a campaign keeps: parts, profiles, environment; and what is read from them."""
