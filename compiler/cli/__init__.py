"""The `slmc` command: one module per subcommand, loaded when it is called.

Reads: the command line and the environment.
Gives: text or JSON on stdout, everything else on stderr, an exit code.
Never: knows how a stage does its work.
"""
