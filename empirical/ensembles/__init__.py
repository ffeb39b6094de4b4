"""Ensembles of anybody's networks: modules or checkpoints and data of any form, measured as our runs are."""
