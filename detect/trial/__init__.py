"""A test of one suspect: what is asked, what it answered, how that is judged, and the ledger of all tests."""
