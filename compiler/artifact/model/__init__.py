"""Folders of models: what they are, whether they can be used, and graphs for those that come as weights.

Reads: a model's folder.
Gives: its shape and task, diagnostics of what is wrong with it, an exported graph.
Never: knows recipes or the store.
"""
