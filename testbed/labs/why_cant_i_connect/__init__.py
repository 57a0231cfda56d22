"""The lab "Why can't I connect?"."""
