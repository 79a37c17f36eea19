"""Stage 3: Blueprint + inventories → Fleet: names resolved, overlays merged, cohorts found.

Reads: the Blueprint, inventory files, the built-in device classes; which model files exist.
Gives: one Fleet per declared fleet, values with their provenance; diagnostics SLM2xx, SLM3xx.
Never: opens a model file's contents, except to take its digest.
"""
