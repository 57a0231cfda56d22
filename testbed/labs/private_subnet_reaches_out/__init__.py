"""The lab "A private subnet reaches out"."""
