"""Claims about trained ensembles: the protocol, its questions, the statistics that answer them."""
