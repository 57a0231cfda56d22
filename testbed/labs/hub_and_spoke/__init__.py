"""The lab "Hub and spoke"."""
