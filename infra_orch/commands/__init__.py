"""One command, one file, one function of the same name: plain values in, an exit code out."""
