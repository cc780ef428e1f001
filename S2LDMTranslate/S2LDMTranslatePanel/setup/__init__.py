"""What has to be there before a translation: packages and a model. May import ``jobs``."""
