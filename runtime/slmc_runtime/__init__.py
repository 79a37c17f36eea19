"""Serves the model that a bundle's run names, on the device.

Reads: `serve.json`, `artifacts.json`, `golden.json` and `SHA256SUMS` of a bundle; the artifact's folder.
Gives: an HTTP server with OpenAI's interface, probes and metrics.
Never: imports slmc's compiler, opens a connection of its own, or writes what a request says anywhere.

Two processes: this server, and one for the model, which works on one request at a time. onnxruntime-genai holds
Python's global lock for as long as it reads a prompt; in one process no probe would be answered meanwhile.
"""

__version__ = "0.1.0"
