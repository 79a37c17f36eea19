"""ONNX graphs on the disk: weights in pieces, what reads what, what is zero, which operators there are.

Reads: ONNX files and the data beside them.
Gives: ModelProtos, arrays of some rows, files written piece by piece.
Never: knows recipes, plans or the store.
"""
