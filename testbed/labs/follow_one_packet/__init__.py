"""The lab "Follow one packet"."""
