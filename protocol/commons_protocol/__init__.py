"""How peers talk: wire messages, and the state machines that make two sets of operations equal.

The state machines take messages and the present time, and return what is to be sent; they open
nothing themselves. Only two sub-packages touch a network: `libp2p_host` (libp2p, in its own Trio
thread) and `lan` (zeroconf).
"""
