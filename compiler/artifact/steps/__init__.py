"""Recipe steps: each turns one ONNX graph into another.

Reads: an ONNX file (with its external data) and the step's parameters.
Gives: an ONNX file, the same bytes every time; whether the step changed anything.
Never: runs in the compiler's own process; `chain` is called by `compiler.artifact.child`.
"""
