"""Architectures that slmc builds ONNX graphs of, from the weights in a Hugging Face folder alone: no PyTorch is needed.

Reads: a Checkpoint. Gives: a graph in the node patterns that onnxruntime's fusions know, weights under the checkpoint's
names. Never: runs a model.
"""
