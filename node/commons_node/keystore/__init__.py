"""Keys at rest and keys in use: sealed key files, and who is unlocked in which terminal session."""
