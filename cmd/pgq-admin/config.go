package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const configHelp = `Settings, later wins: defaults, a YAML file (--config or PGQ_CONFIG), the environment, flags.

  in the file            in the environment         flag
  database_url           PGQ_DATABASE_URL           --url
  schema                 PGQ_SCHEMA                 --schema
  log_level              PGQ_LOG_LEVEL              --log-level
  worker.queues          PGQ_WORKER_QUEUES          --set worker.queues=default=10,mail=50
  worker.lease           PGQ_WORKER_LEASE           --set worker.lease=30s
  worker.heartbeat       PGQ_WORKER_HEARTBEAT       --set worker.heartbeat=5s
  worker.poll_interval   PGQ_WORKER_POLL_INTERVAL   --set worker.poll_interval=2s
  worker.poll_only       PGQ_WORKER_POLL_ONLY       --set worker.poll_only=false
  worker.grace           PGQ_WORKER_GRACE           --set worker.grace=30s
  worker.prefetch        PGQ_WORKER_PREFETCH        --set worker.prefetch=1000

The database may also be that of a context (--context, pgq-admin context --help) or of libpq's variables (PGHOST, PGSERVICE …).

The file:

  database_url: postgres://app@db.example.com/app
  worker:
    lease: 30s
    queues:
      default: {concurrency: 10}
      mail: {concurrency: 50}

Unknown names are refused, in the file and in the environment (PGQ_…). These other variables choose a PostgreSQL for
the demo and for tests: PGQ_POSTGRES, PGQ_POSTGRES_IMAGE, PGQ_EMBEDDED_POSTGRES_URL.`

func configCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show the settings and where they are from", Long: configHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(&cobra.Command{
		Use:   "show",
		Short: "Print each setting with its source; passwords are masked",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := a.load(c)
			if err != nil {
				return err
			}
			table := newTable(a.out)
			fmt.Fprintln(table, "SETTING\tVALUE\tSOURCE")
			for _, v := range loaded.Values() {
				fmt.Fprintf(table, "%s\t%s\t%s\n", v.Field, v.Value, v.Source)
			}
			return table.Flush()
		},
	})
	return c
}
