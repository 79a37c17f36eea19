"""Low-rank adapters: read as PEFT saves them, and added to the matrices of a graph."""
