"""The command line: one file per verb, and `main`, which finds them."""
