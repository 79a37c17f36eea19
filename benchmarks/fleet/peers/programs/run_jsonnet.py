"""`run_jsonnet.py SOURCES OUTPUT`: evaluate all.jsonnet and write the files. Runs in the peers' environment."""

import json
import sys
from pathlib import Path

import rjsonnet

sources, output = sys.argv[1:]
for path, text in json.loads(rjsonnet.evaluate_file(f"{sources}/all.jsonnet")).items():
    file = Path(output, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
