"""What is true: signed operations, their verdicts, and the folds that turn them into state.

Everything here is a pure function of the operations it is given. No clock, no randomness, no disk,
no network: a caller passes in what it needs, so that every node reaches the same truth from the
same set, and a test can replay any history.
"""
