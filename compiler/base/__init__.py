"""What every stage stands on: places in text, diagnostics, digests, units, safe writes.

Reads: nothing by itself.
Gives: values and functions without any knowledge of blueprints.
Never: imports another part of the compiler.
"""
