"""How good a model is: scores, baselines, and the report. Imports the translate library and ``data``."""
