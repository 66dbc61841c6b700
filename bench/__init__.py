"""Benchmarks: real daemons, libp2p and SQLite; each figure beside a floor of the same run."""
