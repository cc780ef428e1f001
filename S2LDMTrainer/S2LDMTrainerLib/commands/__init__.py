"""The commands of ``s2ldm-train``, one module each: its arguments, and the call that they lead to."""
