"""From a model folder to a repository on the Hub, with its model card."""
