"""The lab "Under attack"."""
