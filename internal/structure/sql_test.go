package structure

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEverySQLFileBeginsWithItsDocumentation(t *testing.T) {
	t.Parallel()
	root, _ := repository(t)
	err := walk(root, func(name string) error {
		if !within(name, "pgq/sql") || !strings.HasSuffix(name, ".sql") {
			return nil
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if text := string(content); !strings.HasPrefix(text, "-- ") && !strings.HasPrefix(text, "/*") {
			t.Errorf("%s does not begin with a comment", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is called from outside says for whom it is: views, and functions that look for names in the schema only. The others
// are called by these. The generator checks the classes.
func TestEverySQLFileThatIsForOthersSaysForWhom(t *testing.T) {
	t.Parallel()
	root, _ := repository(t)
	err := walk(root, func(name string) error {
		if !within(name, "pgq/sql") || !strings.HasSuffix(name, ".sql") {
			return nil
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		text := string(content)
		outside := strings.Contains(text, "\ncreate view ") || strings.Contains(text, " set search_path from current")
		header, _, _ := strings.Cut(text, "\ncreate ")
		if declared := strings.Contains(header, "\n-- roles: "); outside && !declared {
			t.Errorf("%s does not say for which database roles it is: -- roles: worker, operator; or owner", name)
		} else if declared && !outside {
			t.Errorf("%s is for others and does not set search_path from current", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
