"""Copies of packets, in VXLAN."""
