"""Benchmarks, run by hand: how fast the verbs are, what SQL they send, where their time goes, and how workers share.

`python -m tests.benchmarks.flow` measures flows, beside other checkouts and beside bare SQL;
`python -m tests.benchmarks.http` measures flows over HTTP, beside bare views of Django REST framework;
`python -m tests.benchmarks.statements` prints the SQL of each verb;
`python -m tests.benchmarks.profile` tells which code takes the processor's time;
`python -m tests.benchmarks.workers` measures the background jobs, by one worker and by two, and their memory;
`python -m tests.benchmarks.burst` measures a burst of webhooks.

Each makes a database of its own on the server that `tests.databases` finds, and drops it. POSTGRESQL_URL and
MARIADB_URL choose the server: the embedded PostgreSQL doesn't wait for its disk, which flatters whatever commits.
"""
