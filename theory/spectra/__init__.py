"""Spectral measures of W = A'A: limits, finite Wishart matrices, any covariance."""
