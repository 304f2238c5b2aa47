#!/usr/bin/env bash
# A worker that needs bash and psql only. It speaks the worker protocol of PGQ in SQL (docs/worker-protocol.md).
#
#   export PGQ_DATABASE_URL=postgres://user:password@localhost:5432/database
#   examples/shell-worker/worker.sh [--queue default] [--schema pgq] [--handlers DIRECTORY] [--drain]
#
# Each executable in the directory of handlers (handlers/ beside this script) runs the jobs of the kind of its name, one at a
# time; start several workers for more. A handler gets the row of claim_jobs as one line of JSON on standard input, and prints
# its result as JSON, or nothing. Lines on standard error go to the log of the job. Exit codes: 0 completed, 65 failed for
# good, 75 snoozed (it may print {"delay": "5 min"}), 80 cancelled, all others failed, to be tried again.
#
# SIGTERM and Ctrl-C end the worker once the handler has ended, a second one stops the handler and gives its job back. With --drain it ends
# when it finds no more jobs.
# psql cannot wait for notifications, so this worker looks for jobs every now and then, at most every 2 s.
#
# Nothing of a job is ever part of a statement or of a command line: psql reads it from files into variables, and :'name' quotes.
set -euo pipefail
set -m # each job of the shell has a process group of its own

queue=default
schema=pgq
handlers_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/handlers
drain=
while [ $# -gt 0 ]; do
	case $1 in
	--drain) drain=yes; shift ;;
	--queue) queue=${2:?}; shift 2 ;;
	--schema) schema=${2:?}; shift 2 ;;
	--handlers) handlers_dir=${2:?}; shift 2 ;;
	*) echo "usage: $0 [--queue NAME] [--schema NAME] [--handlers DIRECTORY] [--drain]" >&2; exit 2 ;;
	esac
done
if [ -z "${PGQ_DATABASE_URL:-}" ]; then
	echo "set PGQ_DATABASE_URL, for example postgres://user:password@localhost:5432/database" >&2
	exit 1
fi
lease=${WORKER_LEASE:-30} # seconds
max_output=$((1 << 20))

dir=$(mktemp -d)
refused=$dir/refused # what the database said against a statement
kinds=()
for handler in "$handlers_dir"/*; do
	[ -f "$handler" ] && [ -x "$handler" ] && kinds+=("${handler##*/}")
done
if [ ${#kinds[@]} -eq 0 ]; then
	echo "there is no handler in $handlers_dir" >&2
	exit 1
fi
printf '%s\n' "${kinds[@]}" >"$dir/kinds"

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }

# sql runs the statements on its standard input. Variables are given as NAME=VALUE; what is in the files named by $dir/NAME
# comes in by a \set in the statements. Prints the rows, columns separated by spaces. Returns 0; 2 when there was no
# answer; 5 when the worker is gone (PQ005); 3 when the statement was refused, for the reason in $refused.
sql() {
	local variables=(-v "schema=$schema" -v "queue=$queue") rc=0
	for variable in "$@"; do variables+=(-v "$variable"); done
	PGCONNECT_TIMEOUT=10 PGCLIENTENCODING=UTF8 DIR=$dir psql --no-psqlrc --quiet --tuples-only --no-align --field-separator ' ' \
		-v ON_ERROR_STOP=1 -v VERBOSITY=verbose "${variables[@]}" --file - "$PGQ_DATABASE_URL" 2>"$refused" || rc=$?
	[ "$rc" = 0 ] && return 0
	local first pattern='^psql:<stdin>:[0-9]+: [^:]+:  ([0-9A-Z]{5}): '
	first=$(head -n 1 "$refused")
	[[ $first =~ $pattern ]] || return 2 # no word of the server, or its last one
	case ${BASH_REMATCH[1]} in
	PQ005) return 5 ;;
	08* | 25* | 40* | 53* | 55* | 57* | 58* | XX*) return 2 ;; # of its state, not of the statement
	esac
	return 3
}

# insist runs statements, given as the first argument, for as long as it takes to get an answer.
insist() {
	local statements=$1 rc pause=0.1
	shift
	while :; do
		rc=0
		sql "$@" <<<"$statements" || rc=$?
		[ "$rc" != 2 ] && return "$rc"
		say "database cannot be reached; trying again"
		sleep "$pause"
		pause=1
	done
}

register() {
	worker=$(insist "$(
		cat <<-'SQL'
			\set kinds `cat "$DIR/kinds"`
			select :"schema".register_worker(:'name', array[:'queue'], string_to_array(:'kinds', chr(10)), make_interval(secs => :lease))
		SQL
	)" "name=$(hostname)/$$" "lease=$lease") || {
		cat "$refused" >&2
		exit 1
	}
	echo "$worker" >"$dir/worker"
	rm -f "$dir/gone"
	say "registered as worker $worker for queue $queue: ${kinds[*]}"
}

# stop_handler sends a signal to the process group of the handler that runs.
stop_handler() {
	local group
	group=$(cat "$dir/handler" 2>/dev/null) && [ -n "$group" ] && kill -s "$1" -- "-$group" 2>/dev/null || true
}

# beats says that the worker lives, does the chores, and stops handlers whose jobs are cancelled or whose lease is lost. It
# reads from a pipe that nobody writes to: when that is closed this script has ended, killed perhaps, and so does it.
beats() {
	trap '' INT TERM HUP
	refused=$dir/refused.beats
	local rc cancelled _
	while :; do
		rc=0
		read -r -t "$((lease / 6 > 0 ? lease / 6 : 1))" _ || rc=$?
		if [ "$rc" -le 128 ]; then # not the time was out, but the pipe closed
			stop_handler KILL
			rm -rf "$dir"
			return
		fi
		rc=0
		cancelled=$(sql "worker=$(cat "$dir/worker")" <<-'SQL'
			select job_id, attempt from :"schema".heartbeat(:worker);
			select :"schema".do_chores() \g /dev/null
		SQL
		) || rc=$?
		if [ "$rc" = 5 ]; then
			: >"$dir/gone"
			stop_handler KILL
		fi
		if [ -n "$cancelled" ] && grep -qxF -- "$(cat "$dir/current" 2>/dev/null)" <<<"$cancelled"; then
			: >"$dir/cancelled"
			stop_handler TERM
		fi
	done
}

# claim prints job id, attempt, the place of the kind among our kinds, and the job as JSON: nothing, or one line.
claim() {
	sql "worker=$worker" <<-'SQL'
		\set kinds `cat "$DIR/kinds"`
		select c.job_id, c.attempt, array_position(string_to_array(:'kinds', chr(10)), c.kind), to_jsonb(c)
		from :"schema".claim_jobs(:worker, :'queue', kinds => string_to_array(:'kinds', chr(10))) c
	SQL
}

# text makes of a file what PostgreSQL takes as text.
text() { tr -d '\000' <"$1" | iconv -c -f utf-8 -t utf-8 >"$1.text" || true; }

# end_attempt runs the statements that end the attempt. When they are refused the attempt has failed.
end_attempt() {
	local outcome rc=0
	local lease_of=("worker=$worker" "job=$job" "attempt=$attempt" "code=${code:-0}")
	outcome=$(insist "$1" "${lease_of[@]}") || rc=$?
	if [ "$rc" != 0 ]; then
		head -c 2000 "$refused" >"$dir/reason"
		text "$dir/reason"
		outcome=$(insist "$(
			cat <<-'SQL'
				\set reason `cat "$DIR/reason.text"`
				select :"schema".fail_job(:worker, :job, :attempt, 'refused: ' || :'reason')
			SQL
		)" "${lease_of[@]}") || outcome=
	fi
	if [ -z "$outcome" ]; then
		say "job $job, attempt $attempt: the lease is lost; what the handler did was refused"
	else
		say "job $job, attempt $attempt: $outcome"
	fi
}

# run runs the handler of the job that was claimed and ends the attempt.
run() {
	rm -f "$dir/cancelled"
	echo "$job $attempt" >"$dir/current"
	code=0
	"$handlers_dir/${kinds[$((place - 1))]}" <"$dir/job" >"$dir/output" 2>"$dir/errors" {alive}>&- &
	group=$!
	echo "$group" >"$dir/handler"
	local before=-1
	while [ "$before" != "$stopping" ]; do # a signal interrupts wait
		before=$stopping
		code=0
		wait "$group" || code=$?
	done
	kill -s KILL -- "-$group" 2>/dev/null || true # what it left in the background
	rm -f "$dir/handler" "$dir/current"
	if [ -e "$dir/gone" ]; then
		say "job $job, attempt $attempt: the lease is lost"
		return
	fi
	text "$dir/output"
	text "$dir/errors"
	tail -c 2000 "$dir/errors.text" | iconv -c -f utf-8 -t utf-8 >"$dir/words" || true
	local log_and
	log_and=$(
		cat <<-'SQL'
			\set lines `tail -c 50000 "$DIR/errors.text"`
			\set words `cat "$DIR/words"`
			\set output `cat "$DIR/output.text"`
			select :"schema".log_job(:job, :attempt, line) from string_to_table(:'lines', chr(10)) line where line <> '' \g /dev/null
		SQL
	)
	log_and+=$'\n'
	if [ -e "$dir/cancelled" ] && [ "$code" != 0 ]; then
		end_attempt "${log_and}select :\"schema\".give_up_job(:worker, :job, :attempt, 'cancelled on request')"
	elif [ "$stopping" -ge 2 ] && [ "$code" != 0 ]; then
		end_attempt "${log_and}select :\"schema\".release_job(:worker, :job, :attempt)"
	elif [ "$(wc -c <"$dir/output")" -gt "$max_output" ]; then
		end_attempt "${log_and}select :\"schema\".fail_job(:worker, :job, :attempt, 'output is longer than $max_output bytes')"
	else
		case $code in
		0) end_attempt "${log_and}select :\"schema\".complete_job(:worker, :job, :attempt, nullif(btrim(:'output'), '')::jsonb)" ;;
		65) end_attempt "${log_and}select :\"schema\".fail_job(:worker, :job, :attempt, 'exit code 65: ' || :'words', retryable => false)" ;;
		75) end_attempt "${log_and}select :\"schema\".snooze_job(:worker, :job, :attempt, coalesce(nullif(btrim(:'output'), '')::jsonb ->> 'delay', '1 min')::interval)" ;;
		80) end_attempt "${log_and}select :\"schema\".give_up_job(:worker, :job, :attempt, 'exit code 80: ' || :'words')" ;;
		*) end_attempt "${log_and}select :\"schema\".fail_job(:worker, :job, :attempt, format('exit code %s: ', :'code') || :'words')" ;;
		esac
	fi
}

stopping=0
stop() {
	stopping=$((stopping + 1))
	[ "$stopping" -lt 2 ] || stop_handler TERM
}
trap stop INT TERM

register
exec {alive}> >(beats)
beats_pid=$!
pause=0.1
strays=0
while [ "$stopping" = 0 ]; do
	[ -e "$dir/gone" ] && { register; strays=0; }
	rc=0
	if [ "$strays" = 1 ]; then # the answer of a claim was lost: give back what it may have leased
		sql "worker=$worker" <<<'select count(*) from :"schema".disown(:worker, array[]::bigint[])' >/dev/null || rc=$?
		[ "$rc" = 0 ] && strays=0
	fi
	if [ "$rc" = 0 ]; then
		claim >"$dir/claimed" || rc=$?
	fi
	case $rc in
	0) ;;
	5) : >"$dir/gone"; continue ;;
	*)
		strays=1
		say "claiming failed; trying again: $(head -n 1 "$refused")"
		sleep 1 || true
		continue
		;;
	esac
	if read -r job attempt place line <"$dir/claimed"; then
		printf '%s\n' "$line" >"$dir/job"
		run
		pause=0.1
		continue
	fi
	sql <<<'select :"schema".do_chores() \g /dev/null' || true
	[ -n "$drain" ] && [ "$pause" != 0.1 ] && break # twice in a row
	sleep "$pause" || true
	case $pause in 0.1) pause=0.2 ;; 0.2) pause=0.4 ;; 0.4) pause=0.8 ;; 0.8) pause=1.6 ;; *) pause=2 ;; esac
done
insist 'select :"schema".retire_worker(:worker)' "worker=$worker" >/dev/null || true
say "stopped"
exec {alive}>&- # ends beats, which removes the directory
wait "$beats_pid" 2>/dev/null || true
