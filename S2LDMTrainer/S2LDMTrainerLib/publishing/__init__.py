"""From a model folder to a repository on the Hub, with its model card. Imports the translate library, and of
``scoring`` the catalogue of metrics and methods.
"""
