"""Solvable networks with a weight that multiplies another: what SAM shrinks, and diversity with it."""
