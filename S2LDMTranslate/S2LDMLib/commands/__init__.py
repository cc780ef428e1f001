"""The command line ``s2ldm``, one file a command.

May import everything below; nothing but the trainer's command line imports it.
"""
