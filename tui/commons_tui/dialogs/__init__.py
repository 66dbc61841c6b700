"""What lies over a place for a moment: a question, an answer, a code. esc puts it away."""
