"""What is asked of a plan beyond its share: its worst, its rarest, what would mend it."""
