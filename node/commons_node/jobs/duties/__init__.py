"""The node's own duties: each is a handler that runs in a worker process."""
