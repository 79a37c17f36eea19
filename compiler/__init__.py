"""slmc: a compiler from YAML blueprints to edge fleets of small language models.

Start reading at `compiler/pipeline.py`.
"""

__version__ = "0.1.0"
