"""What is wrong with this node and its machine, each with what to do; works without a daemon."""
