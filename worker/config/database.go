package config

import "strings"

// libpq are the variables of libpq that say which database is meant, with the words for them. Others, PGPASSWORD or PGSSLMODE for
// example, are read when the connection is made.
var libpq = []struct{ env, word string }{
	{"PGSERVICE", "service"}, {"PGHOST", "host"}, {"PGPORT", "port"}, {"PGUSER", "user"}, {"PGDATABASE", "dbname"},
}

// findDatabase sets the database by libpq's variables, or else by the current context.
func (l *Loaded) findDatabase(s Sources) error {
	environ := map[string]string{}
	for _, variable := range s.Environ {
		if name, value, _ := strings.Cut(variable, "="); value != "" {
			environ[name] = value
		}
	}
	var words, names []string
	for _, v := range libpq {
		if value, ok := environ[v.env]; ok {
			words = append(words, v.word+"="+quoteWord(value))
			names = append(names, v.env)
		}
	}
	if words != nil {
		return l.set(strings.Join(names, ", "), "database_url", strings.Join(words, " "))
	}
	contexts, err := ReadContexts(s.Contexts)
	if err != nil || contexts.Current == "" {
		return err
	}
	schema := l.Schema
	from, given := l.sources["schema"]
	if err := l.readContext(s.Contexts, contexts.Current); err != nil || !given {
		return err
	}
	return l.set(from, "schema", schema) // which somebody gave for now
}

// quoteWord returns a value for a connection string of words.
func quoteWord(s string) string {
	if s != "" && !strings.ContainsAny(s, ` '\`+"\t\n\r\v\f") {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// readContext sets what a context gives: the database, and the schema if it names one.
func (l *Loaded) readContext(path, name string) error {
	contexts, err := ReadContexts(path)
	if err != nil {
		return err
	}
	c, ok := contexts.Named[name]
	if !ok {
		return contexts.missing(name)
	}
	where := "context " + name
	if err := l.set(where, "database_url", c.DatabaseURL); err != nil {
		return err
	}
	if c.Schema == "" {
		return nil
	}
	return l.set(where, "schema", c.Schema)
}
