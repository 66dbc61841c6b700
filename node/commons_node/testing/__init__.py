"""The network simulator: whole nodes, as the daemon builds them, in one process and one seed.

The code under test is the product's own: `Realm` over SQLite, `Peering` with its sessions, gossip
and joining, the judge, the folds. What is replaced is what it stands on: the event loop's clock,
randomness, the disk and the network. Never imported by the daemon.
"""
