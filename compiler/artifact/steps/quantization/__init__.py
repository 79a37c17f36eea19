"""What the quantizing steps share: which products of matrices a graph has, numbers for them, and the graph in new form.

Reads: an ONNX file through `weights.Source`; for calibration also texts, with the whole model in onnxruntime.
Gives: weights and scales as numpy arrays, nodes, an ONNX file written piece by piece.
Never: writes outside the step's target and scratch folder.
"""
