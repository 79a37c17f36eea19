"""The runtime under load, and its throughput beside a bare loop of onnxruntime-genai. `python -m benchmarks.runtime`."""
