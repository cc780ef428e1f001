"""Work that takes long: a thread each, which runs the engine in a process of its own.

Touches neither Qt nor the scene.
"""
