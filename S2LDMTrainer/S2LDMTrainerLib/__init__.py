"""Training side of S2LDM: data preparation, registration, training, scores. Inference never imports it."""
