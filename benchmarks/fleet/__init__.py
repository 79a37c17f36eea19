"""What it costs to compile a fleet: slmc beside its peers and floors, in one run. `python -m benchmarks.fleet`."""
