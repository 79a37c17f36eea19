"""Stage 7: Fleets + Artifacts + targets → Bundles: rendered files.

Reads: target folders (the built-in ones and the workspace's own).
Gives: one Bundle per cohort and target, as path → bytes; diagnostics SLM7xx.
Never: writes, and never lets a time, a host name or an absolute path into a file.
"""
