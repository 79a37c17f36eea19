"""The peers and floors: each module writes the workload as the sources of one tool, and says how the tool is run."""
