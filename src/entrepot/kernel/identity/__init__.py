"""Who is calling: sign-in by wallet, sessions, operators."""
