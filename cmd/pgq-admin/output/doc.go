// Package output is how commands answer: rows in the format that the user asked for, and errors with exit codes.
//
// A command says once what is to be known of its rows, and lets the user choose from it:
//
//	var queueColumns = []output.Column[pgq.Queue]{
//		{Name: "name", Value: func(q pgq.Queue) any { return q.Name }},
//		{Name: "depth", Value: func(q pgq.Queue) any { return q.Depth }},
//		{Name: "paused_at", Level: output.Wide, Value: func(q pgq.Queue) any { return q.PausedAt }},
//	}
//
//	var o output.Options
//	o.Flags(c.Flags())                           // -o, --columns, --sort
//	…
//	table, err := output.NewTable(&o, queueColumns) // before anything is done: wrong columns are refused
//	…
//	err = table.Print(a.out, queues)
//
// Values are what they are: times, durations, numbers, states, nil for none. Tables show them for people, in UTC; JSON,
// YAML and CSV give times as RFC 3339 and durations in seconds.
//
// An [Error] has an exit code and says what to do. [Failure] is what is printed of it, for people or as JSON.
package output
