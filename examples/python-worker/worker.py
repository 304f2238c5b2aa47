#!/usr/bin/env python3
"""A complete worker in Python, which speaks the worker protocol of PGQ in SQL (docs/worker-protocol.md).

    export PGQ_DATABASE_URL=postgres://user:password@localhost:5432/database
    examples/python-worker/worker.py --queue default --concurrency 4

It needs psycopg2 (Debian: python3-psycopg2) and PGQ in the schema pgq, or the one of --schema. SIGTERM and Ctrl-C end it in order.

Handlers are functions. They return the result, anything that JSON can hold, and answer otherwise by raising: Snooze,
Cancel, Permanent, RetryAfter, or any other exception for a failed attempt that is tried again. They run in threads, which
nobody can stop from outside: one that runs for long calls job.check() now and then.
"""

import argparse
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback

import psycopg2
import psycopg2.extensions

LEASE = float(os.environ.get("WORKER_LEASE", 30))  # seconds after the last heartbeat, when others take over
POLL = 2.0  # seconds between looks at queues that are empty, at most
GRACE = 30.0  # seconds that running handlers have when the worker stops

HANDLERS = {}


class Snooze(Exception):
    """Run the job again after some seconds; the attempt does not count."""

    def __init__(self, seconds):
        super().__init__("snoozed for %s s" % seconds)
        self.seconds = seconds


class RetryAfter(Exception):
    """The attempt failed; run the job again after some seconds instead of what the backoff says."""

    def __init__(self, seconds, message):
        super().__init__(message)
        self.seconds = seconds


class Cancel(Exception):
    """The job need not be done."""


class Permanent(Exception):
    """The job has failed, whatever attempts are left."""


class Stopped(Exception):
    """Raised by Job.check: the lease is lost, the job is cancelled, its time is over, or the worker stops."""


def handler(kind):
    """Registers a function for the jobs of a kind."""

    def register(function):
        HANDLERS[kind] = function
        return function

    return register


def log(message, **fields):
    print(json.dumps({"msg": message, **fields}), file=sys.stderr, flush=True)


def transient(error):
    """Whether an error may go away by itself: no answer of the server, or one that speaks of its state."""
    return error.pgcode is None or error.pgcode[:2] in ("08", "25", "40", "53", "55", "57", "58", "XX")


def printable(text):
    """Text that PostgreSQL can hold: without NUL and halves of surrogate pairs."""
    return str(text).replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


class Job:
    """An attempt of a job: the row of claim, and the lease on it."""

    def __init__(self, worker, row):
        self.worker = worker
        self.worker_id = worker.id
        self.__dict__.update(row)
        self.id = self.job_id
        self.stopped = None  # why: lease_lost, cancelled, timeout, shutdown
        self.deadline = time.monotonic() + self.seconds if self.seconds else None

    def check(self):
        """Raises Stopped when the handler shall return."""
        if self.deadline and time.monotonic() > self.deadline:
            self.stopped = self.stopped or "timeout"
        if self.stopped:
            raise Stopped(self.stopped)

    def sleep(self, seconds):
        """Sleeps as long as the handler need not return."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            time.sleep(min(0.05, max(0, end - time.monotonic())))

    def log(self, message):
        """Keeps a line with the job."""
        self.worker.call("select {schema}.log_job(%s, %s, %s)", self.id, self.attempt, printable(message))


class Database:
    """A connection that is opened again when it breaks. Each statement is a transaction of its own."""

    def __init__(self, url, schema):
        self.url, self.connection, self.lock = url, None, threading.RLock()
        self.schema = '"' + schema.replace('"', '""') + '"'

    def once(self, sql, *args):
        """Runs a statement and returns its rows as dictionaries; raises when there is no answer."""
        with self.lock:
            try:
                if self.connection is None:
                    self.connection = psycopg2.connect(self.url, connect_timeout=10)
                    self.connection.autocommit = True
                with self.connection.cursor() as cursor:
                    cursor.execute(sql.replace("{schema}", self.schema), args)
                    if cursor.description is None:
                        return []
                    names = [column.name for column in cursor.description]
                    return [dict(zip(names, row)) for row in cursor.fetchall()]
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.close()
                raise

    def insist(self, sql, *args):
        """Runs a statement for as long as it takes to get an answer. Only for what may be done twice."""
        pause = 0.05
        while True:
            try:
                return self.once(sql, *args)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                if not transient(error):
                    raise
                log("database cannot be reached; trying again", error=str(error).strip())
                time.sleep(pause)
                pause = min(2 * pause, 2)

    def close(self):
        with self.lock:
            if self.connection is not None:
                try:
                    self.connection.close()
                except psycopg2.Error:
                    pass
                self.connection = None


class Worker:
    def __init__(self, url, schema, queues, concurrency):
        self.queues, self.concurrency = queues, concurrency
        self.main, self.beats, self.endings = (Database(url, schema) for _ in range(3))
        self.schema = schema
        self.id = None
        self.lock = threading.Lock()
        self.running = {}  # (job id, attempt): Job, until its end is written
        self.asleep = False
        self.strays = False  # the answer of a claim was lost
        self.stopping = threading.Event()
        self.ended = threading.Event()
        self.reader, self.writer = os.pipe()  # a byte wakes the main loop
        os.set_blocking(self.reader, False)
        os.set_blocking(self.writer, False)

    def call(self, sql, *args):
        return self.endings.insist(sql, *args)

    def poke(self, *_):
        try:
            os.write(self.writer, b"x")
        except BlockingIOError:
            pass

    def stop(self, *_):
        self.stopping.set()
        self.poke()

    # -- the register ------------------------------------------------------

    def register(self):
        rows = self.beats.insist(
            "select {schema}.register_worker(%s, %s, %s, make_interval(secs => %s)) as id",
            "%s/%d" % (socket.gethostname(), os.getpid()), self.queues, sorted(HANDLERS), LEASE)
        self.id = rows[0]["id"]
        log("registered", worker=self.id, queues=self.queues)

    def heartbeats(self):
        """Says that the worker lives, does the chores, and stops what shall be stopped."""
        next_beat = next_chores = 0
        while not self.ended.wait(0.05):
            now = time.monotonic()
            try:
                if now >= next_beat:
                    next_beat = now + LEASE / 6
                    for row in self.beats.once("select * from {schema}.heartbeat(%s)", self.id):
                        self.interrupt(row["job_id"], row["attempt"], "cancelled")
                if now >= next_chores:
                    row = self.beats.once("select {schema}.do_chores() as pause")[0]
                    next_chores = now + row["pause"] / 1000
            except psycopg2.Error as error:
                if error.pgcode == "PQ005":  # declared dead: others have the jobs, or will have
                    log("declared dead; registering anew", worker=self.id)
                    with self.lock:
                        for job in self.running.values():
                            job.stopped = job.stopped or "lease_lost"
                    self.register()
                else:
                    log("heartbeat or chores failed; trying again", error=str(error).strip())
                    next_beat, next_chores = now + 0.5, now + 0.5
            with self.lock:
                for job in self.running.values():
                    if job.deadline and now > job.deadline:
                        job.stopped = job.stopped or "timeout"

    def interrupt(self, job_id, attempt, why):
        with self.lock:
            job = self.running.get((job_id, attempt))
            if job is not None:
                job.stopped = job.stopped or why

    # -- claiming ----------------------------------------------------------

    def claim(self, free):
        if self.strays:
            with self.lock:
                held = [job.id for job in self.running.values()]
            self.main.once("select * from {schema}.disown(%s, %s::bigint[])", self.id, held)
            self.strays = False
        self.strays = True  # until the answer is here
        rows = self.main.once(
            "select *, extract(epoch from timeout)::float8 as seconds from {schema}.claim(%s, %s, %s, %s)",
            self.id, self.queues, [free] * len(self.queues), sorted(HANDLERS))
        self.strays = False
        return rows

    def start(self, rows):
        jobs = [Job(self, row) for row in rows]
        with self.lock:
            for job in jobs:
                self.running[job.id, job.attempt] = job
        for job in jobs:
            threading.Thread(target=self.run_job, args=(job,), daemon=True).start()

    def wait(self, seconds):
        """Waits for a notification, for a slot to become free, or for some time. False: only time has passed."""
        connection = self.main.connection
        ready, _, _ = select.select([self.reader, connection], [], [], seconds)
        if self.reader in ready:
            os.read(self.reader, 4096)
        connection.poll()
        woken = bool(ready)
        while connection.notifies:
            words = connection.notifies.pop(0).payload.split(" ", 1)
            if words[0] == "cancel":
                worker, job, attempt = map(int, words[1].split())
                if worker == self.id:
                    self.interrupt(job, attempt, "cancelled")
        return woken

    def work(self):
        """Claims and runs jobs until the worker is stopped."""
        pause = 0.01
        while not self.stopping.is_set():
            try:
                if self.main.connection is None:
                    self.asleep = False
                    self.main.once("select {schema}.fall_asleep(array[]::text[])")  # only listens, to be told what to cancel
                with self.lock:
                    free = self.concurrency - len(self.running)
                if free <= 0:
                    self.wait(POLL)
                    continue
                rows = self.claim(free)
                self.start(rows)
                if rows:
                    if self.asleep:
                        self.main.once("select {schema}.wake_up(%s)", self.queues)
                        self.asleep = False
                    pause = 0.01
                elif not self.asleep:
                    # From now on enqueuers notify; what was committed before that is found by looking once more.
                    self.main.once("select {schema}.fall_asleep(%s)", self.queues)
                    self.asleep = True
                else:
                    # A transaction that looked at the gate before we took it may commit later: look again, ever less often.
                    pause = 0.01 if self.wait(pause) else min(2 * pause, POLL)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                log("claiming failed; trying again", error=str(error).strip())
                self.main.close()  # with it go LISTEN and the gates
                self.stopping.wait(0.5)
            except psycopg2.Error as error:
                if error.pgcode != "PQ005":
                    raise
                self.strays = False  # a dead worker holds nothing
                self.stopping.wait(0.1)  # the heartbeat registers anew

    # -- running -----------------------------------------------------------

    def run_job(self, job):
        try:
            self.finish(job)
        finally:
            with self.lock:
                self.running.pop((job.id, job.attempt), None)
            self.poke()

    def finish(self, job):
        """Runs the handler and writes how the attempt ended."""
        try:
            result = HANDLERS[job.kind](job)
            sql, args = "complete_job(%s, %s, %s, %s)", [None if result is None else json.dumps(result)]
        except Snooze as snooze:
            sql, args = "snooze_job(%s, %s, %s, make_interval(secs => %s))", [snooze.seconds]
        except Cancel as error:
            sql, args = "give_up_job(%s, %s, %s, %s)", [printable(error)]
        except Permanent as error:
            sql, args = "fail_job(%s, %s, %s, %s, retryable => false)", [printable(error)]
        except RetryAfter as error:
            sql, args = "fail_job(%s, %s, %s, %s, make_interval(secs => %s))", [printable(error), error.seconds]
        except Stopped as error:
            sql, args = self.stopped(str(error))
        except Exception as error:
            log("attempt failed", job_id=job.id, kind=job.kind, attempt=job.attempt, error=printable(error))
            sql, args = "fail_job(%s, %s, %s, %s)", [printable(traceback.format_exc(limit=-3))]
        if sql is None:
            log("lease lost while the handler ran", job_id=job.id, attempt=job.attempt)
            return
        lease = [job.worker_id, job.id, job.attempt]
        try:
            rows = self.call("select {schema}." + sql + " as outcome", *lease, *args)
        except (psycopg2.Error, ValueError) as error:  # a result that jsonb refuses, for example
            rows = self.call("select {schema}.fail_job(%s, %s, %s, %s) as outcome", *lease, printable("refused: %s" % error))
        if not rows or rows[0]["outcome"] is None:
            log("lease was lost: what the handler did was refused", job_id=job.id, attempt=job.attempt)

    @staticmethod
    def stopped(why):
        if why == "lease_lost":
            return None, []
        if why == "cancelled":
            return "give_up_job(%s, %s, %s, %s)", ["cancelled on request"]
        if why == "shutdown":
            return "release_job(%s, %s, %s)", []
        return "fail_job(%s, %s, %s, %s)", ["attempt timed out"]

    def run(self):
        self.register()
        beats = threading.Thread(target=self.heartbeats, daemon=True)
        beats.start()
        try:
            self.work()
        finally:
            self.wind_down()
            self.ended.set()
            beats.join(5)
        log("stopped", worker=self.id)

    def wind_down(self):
        """Waits for the handlers, then stops them, and leaves the register; what is still held is run by others."""
        self.main.close()
        if not self.idle(GRACE):
            with self.lock:
                for job in self.running.values():
                    job.stopped = job.stopped or "shutdown"
            self.idle(5)
        self.endings.insist("select {schema}.retire_worker(%s)", self.id)

    def idle(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.lock:
                if not self.running:
                    return True
            time.sleep(0.02)
        return False


# -- the handlers of this example ------------------------------------------


@handler("python_greet")
def greet(job):
    job.log("greeting")
    return {"hello": job.args["name"], "attempt": job.attempt}


@handler("python_flaky")
def flaky(job):
    if job.attempt < 2:
        raise RetryAfter(0, "the first attempt always fails: %s" % job.args.get("why"))
    return job.attempt


@handler("python_refuse")
def refuse(job):
    raise Permanent("it will never work")


@handler("python_later")
def later(job):
    path = job.args["flag"]
    if not os.path.exists(path):
        open(path, "w").close()
        raise Snooze(0.1)
    return "now"


@handler("python_hold")
def hold(job):
    job.sleep(job.args.get("seconds", 3600))
    return "held"


def main():
    parser = argparse.ArgumentParser(description="A PGQ worker.")
    parser.add_argument("--queue", action="append", help="may be repeated; default")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--schema", default="pgq")
    options = parser.parse_args()
    url = os.environ.get("PGQ_DATABASE_URL")
    if not url:
        sys.exit("set PGQ_DATABASE_URL, for example postgres://user:password@localhost:5432/database")
    worker = Worker(url, options.schema, options.queue or ["default"], options.concurrency)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    worker.run()


if __name__ == "__main__":
    main()
