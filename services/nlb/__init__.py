"""A Network Load Balancer's node, beside the kernel: it asks targets for their health, and keeps the kernel's map of targets to what it learns."""
