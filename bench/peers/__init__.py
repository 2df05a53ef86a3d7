"""The peers of the reading measurement, each as its own documentation says it is written well."""
