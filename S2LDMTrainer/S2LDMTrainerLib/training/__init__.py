"""From prepared data to a model: samples, both stages, and the loop that they run in."""
