"""Stage 2: Documents → Blueprint, the pydantic door.

Reads: Documents.
Gives: one Blueprint, the files merged by name; diagnostics SLM2xx; the JSON Schema.
Never: opens a file, or follows a reference from one name to another.
"""

import os

# A plugin that happens to be installed must not change what is valid. This also saves the search for them.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
