"""Every figure that the README states, made again by one command, peers side by side."""
