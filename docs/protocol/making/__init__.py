"""Where the vectors come from: one room for each part of the protocol."""
