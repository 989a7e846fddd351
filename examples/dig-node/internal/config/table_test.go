package config

import "testing"

// Every field of Config has a row in the table, and every row a field.
func TestTable(t *testing.T) {
	rows, names := map[string]bool{}, map[string]bool{}
	for _, s := range settings {
		if rows[s.key] || names[EnvName(s.key)] {
			t.Errorf("%s is there twice", s.key)
		}
		rows[s.key], names[EnvName(s.key)] = true, true
	}
	fields := 0
	for _, l := range (&Config{}).leaves() {
		fields++
		if !rows[l.key] {
			t.Errorf("%s has no row", l.key)
		}
	}
	if fields != len(rows) {
		t.Errorf("%d fields, %d rows", fields, len(rows))
	}
}
