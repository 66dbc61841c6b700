"""Models of the host that agents may ask: anything that takes JSON and answers JSON; none required.

`held` keeps what is registered and asks it; `worker` is the process in which a model lives.
"""
