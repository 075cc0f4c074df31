"""Documentation that runs.

Executable notebooks, verified in sealed rooms with registries of their own.
"""
