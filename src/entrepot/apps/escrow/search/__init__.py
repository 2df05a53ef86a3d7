"""How a search by words is planned: from a sample of the listings, without asking the database."""
