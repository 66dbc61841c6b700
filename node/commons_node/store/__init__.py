"""What this node keeps on disk: one SQLite file per realm, one for the node itself."""
