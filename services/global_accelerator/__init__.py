"""Global Accelerator at one edge location, beside the kernel: it asks endpoints for their health, and keeps the kernel's maps of endpoints to what it learns."""
