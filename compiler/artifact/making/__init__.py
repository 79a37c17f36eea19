"""Artifacts made as a plan says: in which order, by which processes, and what is said when one fails.

Reads: the Plan's actions, models, evaluation data.
Gives: artifacts in the store with what was measured; diagnostics.
Never: works on a graph itself: child processes do.
"""
