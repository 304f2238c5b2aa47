package main

import (
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/worker"
	"github.com/pgq-go/queue/worker/command"
	"github.com/pgq-go/queue/worker/config"
)

const workerHelp = `Run a worker whose handlers are programs: a team without Go can use all of PGQ. Ctrl-C, SIGTERM or SIGHUP ends it in order;
changes of the file take effect when it is started again.

  database_url: postgres://app@db.example.com/app    # or PGQ_DATABASE_URL
  worker:
    queues: {media: {concurrency: 4}, mail: {concurrency: 20}}
    grace: 30s                           # how long running programs may go on when the worker stops
  kinds:
    thumbnail:
      run: [./thumbnail.sh, --size, "64"]   # a program and its arguments; no shell reads them
      timeout: 1m
    report:
      shell: psql -f report.sql | gzip > "out/$JOB_ID.gz"   # or a text that /bin/sh reads
      pass_env: [PGPASSWORD]
      output: none

What may stand below a kind:

  run, shell     one of them: what to run. Programs without a slash are looked up in the PATH of pgq-admin
  dir            where it runs; relative to the directory of the file, which is the default
  env            a map of variables, besides those of pgq-admin
  pass_env       a list of variables that programs do not get otherwise: PGQ_… and PGPASSWORD
  clean_env      true: of pgq-admin's environment only PATH, HOME, USER, LANG, LC_…, TZ and TMPDIR
  timeout        after which it is killed, besides the timeout of the job
  kill_after     from SIGTERM to SIGKILL; 2s
  output         what it prints: json (one value, or nothing), text, none; json
  max_output     of bytes that it prints; 1MiB. A program that prints more is killed
  max_memory     which it may have with all that it starts, 500MiB for example, before it is killed; on Linux
  exit_codes     what exit codes mean: {fail: [1, 2], snooze: [3], cancel: [4], retry: [5], complete: [6]}
  snooze         for how long it snoozes if it does not say so; 1m

The job comes as one line of JSON on standard input: id, kind, queue, attempt, max_attempts, priority, created_at, timeout, tags,
metadata, dag_id, and args, or codec and payload (base64). JOB_ID, JOB_KIND, JOB_QUEUE, JOB_ATTEMPT and JOB_MAX_ATTEMPTS are in the
environment. What is printed is the result; lines on standard error are the log of the job. Exit codes: 0 completed, 65 failed
for good, 75 snoozed (the attempt does not count), 80 cancelled (need not be done), all others failed, to be tried again. With these
the program may print {"delay": "5m", "error": "…"}.

A program leads a process group. The group gets SIGTERM, then SIGKILL, on timeout, cancellation and shutdown; what is left of it
when the program ends is killed, also when pgq-admin itself is killed.`

func workerCommand(a *app) *cobra.Command {
	var o output.Options
	var check bool
	c := &cobra.Command{
		Use:     "worker",
		Aliases: []string{"workers"},
		Short:   "Run jobs by programs in any language",
		Long:    workerHelp,
		Example: `  pgq-admin worker --config pgq.yaml --check     what would run, and whether it can
  pgq-admin worker --config pgq.yaml
  pgq-admin worker --config pgq.yaml --set worker.queues=mail=20`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			table, err := output.NewTable(&o, kindColumns)
			if err != nil {
				return err
			}
			loaded, err := a.load(c)
			if err != nil {
				return err
			}
			if len(loaded.Kinds) == 0 {
				return usagef("kinds must be given").WithFix("--config FILE, which says what programs run which kinds; see pgq-admin worker --help")
			}
			if check {
				return a.checkKinds(loaded, table, o)
			}
			return a.runKinds(c, loaded.Kinds)
		},
	}
	o.Flags(c.Flags(), output.Names(kindColumns)...)
	c.Flags().BoolVar(&check, "check", false, "check the file, print what would run, and end; exit code 4 if a program is not there")
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(workerList(a), workerShow(a))
	return c
}

// checkKinds prints what would run.
func (a *app) checkKinds(s *config.Loaded, table *output.Table[config.Kind], o output.Options) error {
	if err := table.Print(a.screen(), s.Kinds); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Worker.Queues)) {
		a.note(o, "queue %s: %d at a time", output.Clean(name), s.Worker.Queues[name].Concurrency)
	}
	if slices.ContainsFunc(s.Kinds, func(k config.Kind) bool { return k.Problem() != "" }) {
		return errFindings
	}
	return nil
}

// runKinds works until the context ends.
func (a *app) runKinds(c *cobra.Command, kinds []config.Kind) error {
	for _, k := range kinds {
		if problem := k.Problem(); problem != "" {
			return usagef("%s: kind %q cannot run: %s", k.Where, k.Name, problem)
		}
	}
	s, err := a.database(c)
	if err != nil {
		return err
	}
	ctx := c.Context()
	config, err := pgxpool.ParseConfig(s.DatabaseURL)
	if err != nil {
		return err
	}
	inUTF8(config.ConnConfig)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	w := worker.New(pool, s.WorkerConfig(worker.Config{Logger: newLogger(a.err, s.LogLevel)}))
	s.HandleKinds(w)
	return w.Run(ctx)
}

// kindColumns are what is shown of kinds.
var kindColumns = []output.Column[config.Kind]{
	{Name: "kind", Value: func(k config.Kind) any { return k.Name }},
	{Name: "command", Value: func(k config.Kind) any { return k.Line() }},
	{Name: "shell", Level: output.Wide, Value: func(k config.Kind) any { return k.Shell }},
	{Name: "dir", Value: func(k config.Kind) any { return k.Command.Dir }},
	{Name: "timeout", Value: func(k config.Kind) any {
		if k.Command.Timeout == 0 {
			return nil
		}
		return k.Command.Timeout
	}},
	{Name: "output", Value: func(k config.Kind) any {
		if k.Command.Output == "" {
			return string(command.JSON)
		}
		return string(k.Command.Output)
	}},
	{Name: "where", Level: output.Wide, Value: func(k config.Kind) any { return k.Where }},
	{Name: "problem", Value: func(k config.Kind) any {
		if problem := k.Problem(); problem != "" {
			return problem
		}
		return nil
	}},
}
