"""Stage 6: Fleets + Artifacts → findings: does it fit memory, storage and processor.

Reads: values only.
Gives: one Estimate per cohort; diagnostics SLM6xx with the numbers.
Never: measures; every figure here is an estimate by a stated formula.
"""
