"""`run_kcl.py SOURCES OUTPUT`: evaluate main.k and write the files. Runs in the peers' environment."""

import json
import sys
from pathlib import Path

import kcl_lib.api as api

sources, output = sys.argv[1:]
result = api.API().exec_program(api.ExecProgramArgs(k_filename_list=[f"{sources}/main.k"]))
if result.err_message:
    sys.exit(result.err_message)
for device, files in json.loads(result.json_result)["out"].items():
    folder = Path(output, device)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
