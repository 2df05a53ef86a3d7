"""Monitoring: what is measured, which alerts follow, who is told, and whether the house is well."""
