"""Figures of trained ensembles."""
