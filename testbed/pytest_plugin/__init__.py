"""The pytest plugin: the `lab` fixture, and the sandbox around a run that uses it."""
