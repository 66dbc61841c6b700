"""How the node is: what keeps its communities from agreement, and the figures behind it."""
