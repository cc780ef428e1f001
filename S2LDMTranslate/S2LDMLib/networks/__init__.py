"""The paper's networks: syncretic autoencoder with codebook, latent denoisers.

May import the configuration in ``model`` alone.
"""
