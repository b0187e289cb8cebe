"""Who runs where, with what: everything is decided here."""
