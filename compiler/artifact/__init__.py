"""Stage 5: Plan → Artifacts: recipe steps, evaluation, gates, the content-addressed store.

Reads: the Plan's model files and evaluation data, the store.
Gives: one Artifact per action, built or found in the store; diagnostics SLM4xx, SLM5xx.
Never: reads a blueprint, or loads onnxruntime without `ORT_DISABLE_TELEMETRY=1`.
"""
