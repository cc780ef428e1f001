"""How good a model is: scores, baselines, and the report. Imports ``data`` and the translate library."""
