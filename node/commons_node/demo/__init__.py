"""The main job on real input: three real nodes share a real tool library. Nothing is simulated."""
