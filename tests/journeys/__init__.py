"""Whole trades through HTTP and wallet signatures only, each to one of the ends that an order can have."""
