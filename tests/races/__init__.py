"""Tests of what happens at the same time, with real connections and the simulator's ledger as the oracle.

They run on all three databases. On SQLite, whose one write lock makes transactions queue up, they show that nothing
goes wrong between the transactions of a verb; that a row's lock keeps two apart, only PostgreSQL and MariaDB show.
"""
