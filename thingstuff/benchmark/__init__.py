"""What `tools/benchmark.py` measures: one measurement a file, each against the program that it replaces."""
