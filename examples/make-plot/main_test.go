package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	run(t.Context(), &out)
	for _, want := range []string{"plot of 4 capsules", "capsule 2 is proved",
		"1 damaged block repaired"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output %q lacks %q", out.String(), want)
		}
	}
}
