"""How the shipped base was made: the autoencoder's recipe, and what turns a run into a shipped base."""
