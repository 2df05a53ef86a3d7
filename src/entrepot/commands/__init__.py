"""The commands of `entrepot`, a file for each, and what they share."""
