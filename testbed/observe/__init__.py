"""Seeing what happens in a lab: captures, packet traces, logs, explanations, waterfalls and drawings."""
