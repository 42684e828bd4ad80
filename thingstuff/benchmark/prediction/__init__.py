"""What `benchmark.py predict` is made of: the programs, the load that they are given, and what is measured of them."""
