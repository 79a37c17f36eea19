"""Stage 1: YAML text → Document, every value with its place.

Reads: the `*.slmc.yaml` files of a workspace.
Gives: one Document per file; diagnostics SLM1xx.
Never: knows what a key means.
"""
