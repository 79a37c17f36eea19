"""A graph in 16-bit floating point: which values may have it, where casts go, and the weights piece by piece."""
