// Package structure holds no code: its tests keep the repository in the shape that
// ARCHITECTURE.md describes. They read the sources and need neither a database nor
// the packages they speak of; what does not exist yet breaks no rule.
package structure
