"""Attendance tokens: made for a member who was somewhere, taken and released by a space's node."""
