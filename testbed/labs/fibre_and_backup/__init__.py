"""The lab "The fibre and its backup"."""
