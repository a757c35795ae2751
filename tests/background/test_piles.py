"""A job's batch reads its own rows: how many more are due makes no difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import connection

from payments.services.background.jobs import JOBS
from payments.testing import configured_provider
from tests.benchmarks.piles import FILL, Piles
from tests.benchmarks.seed import seed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

DUE = 3_000
BATCH = 10

READ = "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"


@pytest.fixture
def piles(transactional_db: None) -> Iterator[Piles]:
    """Return piles in a database in which an index is used wherever one can be, as in a large one."""
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL tells how many rows it has read.")
    with configured_provider("card", {"BACKEND": "tests.benchmarks.providers.CardProvider"}):
        seed(connection, 100, unpaid=DUE)
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
            yield Piles()
            cursor.execute("RESET enable_seqscan")


def rows_read() -> Counter[str]:
    """Return how many rows of each table were read so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(READ)
        return Counter(dict(cursor.fetchall()))


@pytest.mark.parametrize("job", FILL)
def test_batch_reads_fewer_rows_than_are_due(piles: Piles, job: str) -> None:
    piles.add(job, DUE)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    rows_read()  # what was read until now is counted by the time that this is over
    before = rows_read()
    assert JOBS[job].run(BATCH, lambda line: None) == BATCH
    read = rows_read() - before
    assert read.total() < DUE / 2, read
