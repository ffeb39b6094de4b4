"""Figures: a function each, from results to a matplotlib figure. None of them trains."""
