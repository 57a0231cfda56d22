"""Flow logs of a transit gateway."""
