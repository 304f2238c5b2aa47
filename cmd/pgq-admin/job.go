package main

import "github.com/spf13/cobra"

const jobHelp = `Show jobs and say why they do not run; act on them.

Jobs are named by their ids. -o table and wide are for people. -o json, jsonl, yaml and csv are for programs: times are RFC 3339
in UTC, durations seconds, and numbers in args and results are as they were written, however large. -o name prints only ids.`

func jobCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "job", Aliases: []string{"jobs"}, Short: "Show jobs and act on them", Long: jobHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(jobList(a), jobShow(a), jobEvents(a), jobErrors(a), jobExplain(a), jobLogs(a), jobWait(a))
	c.AddCommand(jobChanges(a)...)
	return c
}
