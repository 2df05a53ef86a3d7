"""HTTP: routes bound to operations, problems, limits, the server."""
