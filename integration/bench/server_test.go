package main

import "testing"

func TestDatabaseURL(t *testing.T) {
	for server, want := range map[string]string{
		"postgres://me:secret@host:5433/postgres?sslmode=disable": "postgres://me:secret@host:5433/other?sslmode=disable",
		"postgres:///postgres?host=%2Ftmp&user=me":                "postgres:///other?host=%2Ftmp&user=me",
		"postgres://host?dbname=postgres":                         "postgres://host/other",
		"host=/tmp user=me dbname=postgres":                       "host=/tmp user=me dbname=postgres dbname=other",
	} {
		if got := databaseURL(server, "other"); got != want {
			t.Errorf("databaseURL(%q) = %q, want %q", server, got, want)
		}
	}
}
