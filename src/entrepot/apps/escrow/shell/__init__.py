"""The commands of `entrepot escrow`, a file for each group of them."""
