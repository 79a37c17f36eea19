"""Stage 6: Fleets + Artifacts → findings: does it fit memory and storage, which recipe of a choice is the best.

Reads: values only.
Gives: one Estimate per cohort, one Decision per choice and device class; diagnostics SLM404 and SLM6xx.
Never: measures; what it estimates has a stated formula, and the speeds that a choice looks at came with the artifacts.
"""
