"""Linear mode connectivity: the loss between the members of an ensemble, along lines and on planes through their weights."""
