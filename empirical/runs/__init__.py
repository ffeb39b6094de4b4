"""Runs: a configuration, its training, its measurement, and the plans that many of them make."""
