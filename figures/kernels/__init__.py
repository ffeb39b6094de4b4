"""Figures of trained networks beside what their kernels predict."""
