"""The runtime under load, and its throughput beside onnxruntime-genai alone. `python -m benchmarks.runtime`."""
