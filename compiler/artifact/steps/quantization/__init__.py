"""What the quantizing steps share: which products of matrices a graph has, numbers for them, and the graph in new form.

Reads: an ONNX file through `weights.Source`, texts to calibrate on.
Gives: weights and scales as numpy arrays, nodes, an ONNX file written piece by piece.
Never: holds more of the weights than the pieces it works on.
"""
