"""Trains the language model of `blueprints/hello` from nothing but CPython's own language reference.

Reads: `pydoc_data.topics` of the running CPython.
Gives: `models/pydoc-1.0` (what onnxruntime-genai loads) and `data/heldout.jsonl`, below the folder of `--out`.
Never: imported by the compiler, or part of its wheel.

    pip install torch==2.13.0    # a CPU build will do
    pip install -e '.[train]' && python -m training --out blueprints/hello
"""
