"""Escrow: a privacy market in which a contract holds the money."""
