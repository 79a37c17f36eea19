"""Weights that go: single ones, which become zero, and whole units, which shrink the graph."""
