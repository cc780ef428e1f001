"""Is this a CT that can be translated, and one that the model can judge? Measured before any heavy work.

May import ``volume``.
"""
