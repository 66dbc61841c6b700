"""The daemon: it stores operations, keeps keys, runs the domains, and answers one local API.

Importing this package costs nothing and starts nothing; `python -m commons_node` does. Interfaces
import only `commons_node.api`, the types of that API, never the daemon itself.
"""
