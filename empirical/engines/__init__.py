"""Where work is done: its pieces as a graph, and the engines that do them, here or on a cluster."""
