"""Recipe steps: each makes a model file of another.

Reads: a model file (with its external data), the step's configuration, files of the workspace that it names.
Gives: a model file and what lies beside it, the same bytes every time where the step says so; what it did.
Never: runs in the compiler's own process; `apply_step` is called by `compiler.artifact.child`.
"""
