// Package integration holds no code: its tests prove what PGQ promises about failure, with real processes that
// are killed and stopped, servers that crash, connections that are cut at the worst moment, and all
// interleavings of two sessions. After each of them every invariant of the schema is checked.
package integration
