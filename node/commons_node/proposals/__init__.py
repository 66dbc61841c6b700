"""What agents propose: listed, signed by a member, or dropped. An agent itself signs nothing."""
