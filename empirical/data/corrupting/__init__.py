"""Image corruptions by family, each a function of images in [0, 1], of random numbers and of named constants."""
