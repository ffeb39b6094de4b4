"""Networks that stay close to their initialization, small ones at equal training loss, and networks of frozen random features."""
