"""Objects kept outside the database, found again by the hash of their content."""
