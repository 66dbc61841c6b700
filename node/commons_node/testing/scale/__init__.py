"""How large it may grow: a thousand nodes of gossip, a thousand communities, in one process.

Nodes here are light: the daemon's own `Peering` with its sessions, hints and policy, and a set of
(chain, seq) instead of a store and a judge. GossipSub is a model of what py-libp2p does
(`router`), checked against real hosts by `bench/mesh.py`. The figures are in docs/scale.md.
"""
