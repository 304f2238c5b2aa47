// Package dagsql builds, submits and watches DAGs: jobs of package pgq that wait for each other.
//
//	b := dagsql.New("analyze-website", dagsql.Options{Key: "site:" + host, Deadline: 10 * time.Minute})
//	site := b.Add("website", FetchArgs{URL: url}, pgq.Options{MaxAttempts: 3})
//	sentiment := b.Add("sentiment", SentimentArgs{}).After(site)
//	summary := b.Add("summary", SummaryArgs{}).After(site)
//	b.Add("save", SaveArgs{}).After(sentiment, summary.Soft()) // the summary may fail
//
//	d := dagsql.NewClient(q)
//	dag, err := d.Submit(ctx, tx, b) // in the application's own transaction
//
// Nodes are jobs: workers run them with the handlers for their kinds, and they have attempts, timeouts, queues and
// priorities like any other. Which node may run is worked out in SQL, in the transaction that finishes its parents. The
// DAG is a job as well, which no handler runs: it can be awaited, cancelled, tagged, and is kept as long as its result.
//
// # Results
//
// A handler reads by name what other nodes returned, with the attempt that it is given:
//
//	worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[SaveArgs]) (Saved, error) {
//		mood, err := dagsql.Result[Mood](ctx, job.Attempt, "sentiment")
//		text, ok, err := dagsql.Maybe[string](ctx, job.Attempt, "summary") // false: it failed or was skipped
//		…
//	})
//
// [Result], [Maybe], [Upstream], [Results], [Items] and [Extend] are for handlers; others use the methods of [Client]
// and [Output]. With Options.Output, the result of a node is that of the DAG, which pgq.Await returns.
//
// # Who waits for whom
//
// A node runs when all its parents have succeeded, unless its [Rule] says otherwise:
//
//	b.Add("first", …).AfterAny(a, b)       // one has succeeded
//	b.Add("quorum", …).After(x, y, z).AtLeast(2)
//	b.Add("cleanup", …).AfterDone(save)    // whatever happened
//	b.Add("alarm", …).AfterFailure(save)   // one has failed
//	b.Add("report", …).After(high, low).Rule(dagsql.Join) // the end of branches
//
// A parent may be soft, conditional, or a job outside of the DAG:
//
//	n.After(summary.Soft(), score.When(`$.risk > 0.8`), dagsql.Job(id))
//
// A handler chooses branches by what it returns, [Choose]("high"); the nodes after route.Branch("high") run, those after
// other branches are skipped.
//
// # Failure
//
// A node fails when its attempts are used up. What waits for it is skipped, as its rule says, and so on; the failure is
// not forgotten on the way: the DAG fails unless a soft edge or a node with rule Any or AtLeast makes up for it. All
// else runs to its end, or is cancelled with Options.FailFast. [Client.Retry] runs what failed again, in place.
//
// # More than jobs
//
//	files := b.Map("thumbs", list, ThumbArgs{}, dagsql.MapOptions{Path: "$.keys[*]", Window: 100, Tolerate: 2.5})
//	ok := b.External("approve", dagsql.ExternalOptions{Timeout: 24 * time.Hour}).After(summary)
//	later := b.Sleep("cooldown", time.Hour).After(ok)
//	etl := b.Sub("etl").After(later).Output("load")
//	extract := etl.Add("extract", ExtractArgs{}) // its full name is etl/extract
//	etl.Add("load", LoadArgs{}).After(extract)
//
// A map runs a job for each item of a result. An external node waits for [Client.Complete] or [Client.Fail], and no worker
// waits with it. A sub-DAG is a node made of nodes. A handler adds nodes to the DAG that it is part of by [Extend].
//
// # Insight
//
// [Client.Progress], [Client.Explain] ("why is it not running?"), [Client.CriticalPath] and the pictures of
// [Client.Mermaid] and [Client.DOT] read the same views and functions that SQL users have: dags, dag_nodes, dag_edges and
// dag_…. Before anything is submitted, [Builder.Mermaid] draws a DAG, and [Simulate] says in a unit test how it ends.
//
// # Transactions, time and errors
//
// As in package pgq: every method takes the [pgq.DB] to work on, durations are added to the database's clock, and errors are
// those of pgq besides [*InvalidError], which holds all that is wrong with a DAG, and [ErrNotUpstream]. The package never
// logs.
package dagsql
