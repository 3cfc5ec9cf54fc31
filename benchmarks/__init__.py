"""Mainspring beside its peers and beside what the machine allows, in one run: `python -m benchmarks --help`."""
