"""Speed as ratios against baselines in the same process: ``make bench``."""
