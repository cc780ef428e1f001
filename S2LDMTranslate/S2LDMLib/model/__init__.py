"""A model on disk and on the Hub: its configuration, its weights, where it comes from. Imports no other wing."""
