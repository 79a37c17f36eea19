"""What the quantizing steps share: which matrices a graph has, numbers for them, and the graph in new form.

Blocks of 4 and 8 bits are the work of `blockwise`, for whichever scheme has them; 8-bit integers that of `integers`.

Reads: an ONNX file through `weights.Source`; for calibration also texts, with the whole model in onnxruntime.
Gives: weights and scales as numpy arrays, nodes, an ONNX file written piece by piece.
Never: writes outside the step's target and scratch folder.
"""
