"""The lab "The inspected packet"."""
