"""Ensembles of two-layer linear networks: what SAM shrinks, predicted by a small network and measured on trained ones."""
