"""The lab "The encrypted tunnel"."""
