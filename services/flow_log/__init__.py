"""VPC flow logs, read from the counters of a fabric."""
