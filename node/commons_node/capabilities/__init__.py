"""What an agent may ask of the node: methods that a broker answers, each within its grant.

`capability` says what a method is, `catalogue` lists all, `broker` checks each call; each kind of
method has its file. `docs/capabilities.md` is made from the catalogue.
"""
