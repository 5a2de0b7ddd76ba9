"""The command line: parse, call one command, turn an error into an exit code."""
