// Package command runs jobs in child processes: a program in any language is the handler of a kind.
//
//	thumbnail := command.Command{Args: []string{"./thumbnail.sh"}, Timeout: time.Minute}
//	worker.HandleCommand(w, "thumbnail", thumbnail)
//
// # What a program meets
//
// Its standard input is the job, one line of JSON:
//
//	{"id": 7, "kind": "thumbnail", "queue": "media", "attempt": 1, "max_attempts": 25, "priority": 5,
//	 "created_at": "2026-11-22T03:00:00Z", "timeout": null, "tags": null, "metadata": null, "dag_id": null, "args": {"url": …}}
//
// Args that were encrypted come in the clear if the worker's client has the keys. Those of other codecs come as "codec" and "payload" (base64) instead of "args". JOB_ID, JOB_KIND,
// JOB_QUEUE, JOB_ATTEMPT and JOB_MAX_ATTEMPTS are in its environment.
//
// What it prints is the result, one JSON value, or nothing. Each line of its standard error is a line of the job's log; the last
// ones are kept in the error of an attempt that failed. How the attempt ends is said by the exit code:
//
//	0    completed, with the result
//	65   failed for good (EX_DATAERR of sysexits.h: what was asked cannot be done)
//	75   snoozed (EX_TEMPFAIL): again later, the attempt does not count
//	80   cancelled: it need not be done
//	else failed: again after the backoff, while attempts are left
//
// [Command.Exits] changes that. With any code but 0 the program may print {"delay": "5m", "error": "…"}: after which time to
// run again (seconds, or a duration as Go writes it), and the error in place of its last words.
//
// # What is certain
//
// No shell reads the arguments, and nothing of a job is ever part of them. Each child leads a process group. The group gets
// SIGTERM, and SIGKILL a little later, when the attempt times out, is cancelled, or the worker stops; SIGKILL at once when
// the lease is lost, or when the output is too long. What is left of the group when the child ends is killed as well. If
// this process is killed itself, a guard (a shell that waits for that) kills all groups; on Linux the children are
// killed by the system, too. A child that a signal ends is a failed attempt, which names the signal.
//
// On Windows there are no groups and no guard: only the child itself is killed.
package command
