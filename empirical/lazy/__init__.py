"""Networks that stay close to their initialization, and networks of frozen random features."""
