"""Sharpness and curvature of one network, from its loss on a fixed list of batches."""
