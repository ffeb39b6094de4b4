"""Diversity, accuracy, calibration and likeness of an ensemble, from what its members predict."""
