"""The lab "Stateful and stateless"."""
