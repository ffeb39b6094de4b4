"""Ensembles of random-feature networks: closed forms, and networks drawn to check them."""
