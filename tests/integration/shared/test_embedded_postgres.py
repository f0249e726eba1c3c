"""Embedded PostgreSQL: it starts, keeps what it is told, and leaves nothing running however it ends."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from shared.db.embedded.server import (
    DataDirInUse,
    DataDirUnreachable,
    EmbeddedPostgres,
    WrongVersion,
    conninfo_if_running,
)
from tests.fixtures_servers import processes_of, wait_until

GONE_WITHIN_SECONDS = 5.0

OWNER = """
import os, sys, time
from pathlib import Path
import psycopg
from shared.db.embedded.server import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
with psycopg.connect(server.conninfo, autocommit=True) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS kept (n int PRIMARY KEY)")
    connection.execute("INSERT INTO kept SELECT coalesce(max(n), 0) + 1 FROM kept")
if "fork" in sys.argv and os.fork() == 0:
    time.sleep(60)
    os._exit(0)
print("READY", server.server_pid, server.supervisor_pid, flush=True)
busy = psycopg.connect(server.conninfo, autocommit=True)
while True:
    busy.execute("SELECT pg_sleep(60)")
"""


def kept(conninfo: str) -> list[int]:
    with psycopg.connect(conninfo) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM kept ORDER BY n").fetchall()]


@contextmanager
def owner(data_dir: Path, *arguments: str) -> Iterator[tuple[int, int, int]]:
    """Another Python process that runs a server and a statement: its process id, the postmaster's, the supervisor's."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir), *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready = next(line for line in process.stdout if line.startswith("READY "))
        postmaster, supervisor = (int(word) for word in ready.split()[1:])
        yield process.pid, postmaster, supervisor
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def gone(data_dir: Path) -> bool:
    return not processes_of(data_dir)


def test_a_fresh_database_is_empty_and_utc(fresh_database: str) -> None:
    with psycopg.connect(fresh_database) as connection:
        row = connection.execute(
            "SELECT current_setting('TimeZone'), current_setting('server_encoding'), current_setting('fsync'),"
            " (SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public')"
        ).fetchone()
    assert row == ("UTC", "UTF8", "on", 0)


def test_stop_leaves_nothing_and_start_finds_what_was_kept(server_dir: Path) -> None:
    data_dir = server_dir / "postgres"
    with EmbeddedPostgres(data_dir) as server:
        first = server.conninfo
        assert conninfo_if_running(data_dir) == first
        with psycopg.connect(first, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    assert gone(data_dir)
    assert conninfo_if_running(data_dir) is None
    with EmbeddedPostgres(data_dir) as server:
        assert server.conninfo == first
        assert kept(server.conninfo) == [1]


@pytest.mark.parametrize("also", ["python alone", "postgres too", "supervisor too", "all three"])
def test_killed_with_python_it_stops_and_the_next_start_recovers(server_dir: Path, also: str) -> None:
    data_dir = server_dir / "postgres"
    with owner(data_dir) as (python, postmaster, supervisor):
        victims = {
            "python alone": [python],
            "postgres too": [postmaster, python],
            "supervisor too": [supervisor, python],
            "all three": [supervisor, postmaster, python],
        }
        for pid in victims[also]:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: gone(data_dir), seconds=GONE_WITHIN_SECONDS)
    with EmbeddedPostgres(data_dir) as server:
        assert kept(server.conninfo) == [1]


def test_the_next_start_need_not_wait_for_the_end_of_the_one_before(server_dir: Path) -> None:
    data_dir = server_dir / "postgres"
    for round_number in (1, 2, 3):
        with owner(data_dir) as (python, _, _):
            os.kill(python, signal.SIGKILL)
            with EmbeddedPostgres(data_dir) as server:
                assert kept(server.conninfo) == list(range(1, round_number + 1))


def test_a_forked_child_of_the_owner_does_not_keep_it_alive(server_dir: Path) -> None:
    data_dir = server_dir / "postgres"
    with owner(data_dir, "fork") as (python, postmaster, supervisor):
        os.kill(python, signal.SIGKILL)
        wait_until(lambda: not {postmaster, supervisor} & processes_of(data_dir).keys(), seconds=GONE_WITHIN_SECONDS)
        for pid in processes_of(data_dir):
            os.kill(pid, signal.SIGKILL)  # the forked child, which names the folder too
        wait_until(lambda: gone(data_dir), seconds=GONE_WITHIN_SECONDS)


def test_postgres_killed_alone_comes_back_at_the_same_place(server_dir: Path) -> None:
    with (
        EmbeddedPostgres(server_dir / "postgres") as server,
        ConnectionPool(server.conninfo, min_size=2, open=True, check=ConnectionPool.check_connection) as pool,
    ):
        with pool.connection() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        for restarts in (1, 2):
            before = server.server_pid
            assert before is not None
            os.kill(before, signal.SIGKILL)
            wait_until(lambda before=before: server.server_pid not in (None, before), seconds=10)  # type: ignore[misc]  # a default argument in a lambda has no type
            with pool.connection(timeout=10) as connection:
                assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
            assert server.restarts == restarts


def test_the_supervisor_killed_alone_comes_back_with_postgres(server_dir: Path) -> None:
    with EmbeddedPostgres(server_dir / "postgres") as server:
        before = server.supervisor_pid, server.server_pid
        assert before[0] is not None
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        os.kill(before[0], signal.SIGKILL)

        def answers() -> bool:
            if server.supervisor_pid == before[0] or server.server_pid in (None, before[1]):
                return False
            try:
                return kept(server.conninfo) == [7]
            except psycopg.OperationalError:
                return False

        wait_until(answers, seconds=15)
        assert not server.gone.is_set()


def test_postgres_that_can_not_come_back_is_reported_gone(server_dir: Path) -> None:
    data_dir = server_dir / "postgres"
    with EmbeddedPostgres(data_dir) as server:
        assert server.server_pid is not None
        (data_dir / "cluster" / "global" / "pg_control").unlink()
        os.kill(server.server_pid, signal.SIGKILL)
        assert server.gone.wait(60)
        assert gone(data_dir)


def test_the_thread_that_started_it_may_end(server_dir: Path) -> None:
    server = EmbeddedPostgres(server_dir / "postgres")
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        pid = server.server_pid
        with psycopg.connect(server.conninfo) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert server.server_pid == pid
        assert server.restarts == 0
    finally:
        server.stop()


def test_an_interrupted_initdb_is_no_trap(server_dir: Path) -> None:
    data_dir = server_dir / "postgres"
    with subprocess.Popen([sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: list(data_dir.glob("cluster.new-*/base")), seconds=20)
        finally:
            process.kill()
    wait_until(lambda: gone(data_dir), seconds=GONE_WITHIN_SECONDS)
    assert not (data_dir / "cluster").exists()
    with EmbeddedPostgres(data_dir) as server, psycopg.connect(server.conninfo) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not list(data_dir.glob("cluster.new-*"))


def test_a_second_start_on_the_same_folder_is_refused_by_name(server_dir: Path) -> None:
    data_dir = server_dir / "postgres"
    with EmbeddedPostgres(data_dir) as first:
        with pytest.raises(DataDirInUse, match=str(data_dir)):
            EmbeddedPostgres(data_dir, wait_for_previous_seconds=0.2).start()
        with psycopg.connect(first.conninfo) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_stale_pid_file_naming_a_living_program_is_no_trap(server_dir: Path) -> None:
    data_dir = server_dir / "postgres"
    with EmbeddedPostgres(data_dir):
        pass
    account = (data_dir / "cluster").stat()
    as_postgres = {"user": account.st_uid, "group": account.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["sleep", "60"], cwd="/", **as_postgres)  # type: ignore[call-overload]  # mypy can not see through **
    try:
        pid_file = data_dir / "cluster" / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{data_dir / 'cluster'}\n0\n5432\n{data_dir / 'run'}\n\n  0 0\nready   \n")
        os.chown(pid_file, account.st_uid, account.st_gid)
        with EmbeddedPostgres(data_dir) as server, psycopg.connect(server.conninfo) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_data_of_another_version_are_refused_by_name(server_dir: Path) -> None:
    data_dir = server_dir / "postgres"
    with EmbeddedPostgres(data_dir):
        pass
    (data_dir / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(WrongVersion):
        EmbeddedPostgres(data_dir).start()


def test_a_long_path_still_has_a_socket(server_dir: Path) -> None:
    with EmbeddedPostgres(server_dir / ("x" * 100)) as server, psycopg.connect(server.conninfo) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        socket_dir = Path(str(connection.info.host))
        assert (stat.S_IMODE(socket_dir.stat().st_mode), len(str(socket_dir)) < 50) == (0o700, True)
    assert not socket_dir.exists()


def test_the_log_names_no_value(server_dir: Path) -> None:
    data_dir = server_dir / "postgres"
    secret = "https://host.example/secret-name.jpg"
    with EmbeddedPostgres(data_dir) as server, psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE seen (url text PRIMARY KEY)")
        connection.execute("INSERT INTO seen VALUES (%s)", [secret])
        for statement in ("INSERT INTO seen VALUES (%s)", "SELECT %s::int", "SELECT no_such(%s)"):
            with pytest.raises(psycopg.Error):
                connection.execute(statement, [secret])
        with pytest.raises(psycopg.Error):
            connection.execute(f"SELECT '{secret}'::int")
        pid = connection.info.backend_pid
        sleeper = threading.Thread(target=_run_until_killed, args=(connection, f"SELECT pg_sleep(60), '{secret}'"))
        sleeper.start()
        wait_until(lambda: _is_active(server.conninfo, pid), seconds=10)
        os.kill(pid, signal.SIGKILL)  # PostgreSQL reports a crashed backend with its statement, unless told not to
        sleeper.join()
        wait_until(lambda: _answers(server.conninfo), seconds=10)
    text = (data_dir / "postgres.log").read_text()
    assert "was terminated by signal 9" in text
    assert "secret-name" not in text


def _run_until_killed(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    with pytest.raises(psycopg.OperationalError):
        connection.execute(statement.encode())


def _answers(conninfo: str) -> bool:
    try:
        psycopg.connect(conninfo).close()
    except psycopg.OperationalError:
        return False
    return True


def _is_active(conninfo: str, pid: int) -> bool:
    with psycopg.connect(conninfo) as connection:
        query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND query LIKE '%%pg_sleep%%'"
        return connection.execute(query, [pid]).fetchone() is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")
def test_nobody_else_on_the_machine_gets_in(server_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    data_dir = server_dir / "postgres"
    with EmbeddedPostgres(data_dir) as server:
        assert _may_connect(server.conninfo, uid=0, gid=0)
        (data_dir / "run").chmod(0o755)  # even if the folder and the socket were open: the kernel says who calls
        (data_dir / "run" / ".s.PGSQL.5432").chmod(0o777)
        assert not _may_connect(server.conninfo, uid=nobody.pw_uid, gid=nobody.pw_gid)
        (data_dir / "run").chmod(0o700)


def _may_connect(conninfo: str, *, uid: int, gid: int) -> bool:
    """In a fork, because the other account may not be able to read our Python."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            psycopg.connect(conninfo).close()
            status = 0
        except psycopg.OperationalError as error:
            status = 1 if "authentication failed" in str(error) else 3
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 1)
    return status == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL under another account")
def test_a_folder_closed_to_the_account_is_refused_by_name(server_dir: Path) -> None:
    closed = server_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DataDirUnreachable, match=f"{closed} .mode 0700"):
        EmbeddedPostgres(closed / "postgres").start()


def test_a_stop_during_crash_recovery_ends_in_bounded_time(server_dir: Path) -> None:
    with EmbeddedPostgres(server_dir / "postgres") as server:
        connection = psycopg.connect(server.conninfo)
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        wait_until(lambda: not _answers(server.conninfo), seconds=5)
        started_at = time.monotonic()
        server.stop()
        assert time.monotonic() - started_at < 15
        connection.close()
