"""Stage 8: what was resolved, built and rendered ↔ `slmc.lock`.

Reads: the last lock and the output folder.
Gives: the Lock, its bytes, a Baseline for the planner, the Changes between trees.
Never: records a figure that depends on the machine.
"""
