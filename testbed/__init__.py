"""A packet-level testbed for AWS networking: describe a cloud in AWS's words, run it as real packets on one machine."""

__version__ = "0.1.0"
