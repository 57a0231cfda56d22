"""The lab "Survive an Availability Zone"."""
