"""Measured ratios: each figure beside what it is held against, in one run, in alternating order."""
