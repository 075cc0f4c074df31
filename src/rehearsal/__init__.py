"""Documentation that runs: executable notebooks, verified in sealed rooms with registries of their own."""
