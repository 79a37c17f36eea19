"""Models at work in onnxruntime: sessions, decoders, encoders, and what texts are as their inputs.

Reads: a model's folder.
Gives: sessions, logits, embeddings, feeds.
Never: measures, or changes a model.
"""
