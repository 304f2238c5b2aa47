package main

import "github.com/spf13/cobra"

const queueHelp = `Show queues, how deep they are and how old what waits in them is; pause and resume them.

A number with ~ before it is an estimate: up to 10,000 jobs are counted, more are taken from a sample. The formats for programs have a column
exact instead.`

func queueCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "queue", Aliases: []string{"queues"}, Short: "Show queues and act on them", Long: queueHelp}
	group(c)
	a.schemaFlag(c.PersistentFlags())
	c.AddCommand(queueList(a), queueShow(a))
	c.AddCommand(queueChanges(a)...)
	return c
}
