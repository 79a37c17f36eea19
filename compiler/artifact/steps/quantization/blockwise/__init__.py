"""Weights in blocks that share a scale, made piece by piece: for onnxruntime's MatMulNBits and GatherBlockQuantized."""
