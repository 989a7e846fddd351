package rpc

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// openRPC has the members of the document that the test reads.
type openRPC struct {
	OpenRPC string
	Methods []struct {
		Name   string
		Params []struct {
			Name     string
			Required bool
		}
		ParamStructure string
		Result         struct {
			Schema struct {
				Type       string
				Properties map[string]json.RawMessage
				Required   []string
			}
		}
		Errors []struct{ Code int }
	}
}

// members lists the JSON members of a struct and which of them are required.
func members(t reflect.Type) (all, required []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil, nil
	}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		all = append(all, name)
		if !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	slices.Sort(all)
	slices.Sort(required)
	return all, required
}

// TestDocument compares the methods, parameters and members of results in the document with the
// code.
func TestDocument(t *testing.T) {
	var doc openRPC
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	methods := table()
	for _, m := range doc.Methods {
		code, ok := methods[m.Name]
		if !ok {
			t.Errorf("%s is described and not there", m.Name)
			continue
		}
		delete(methods, m.Name)
		var all, required []string
		for _, p := range m.Params {
			all = append(all, p.Name)
			if p.Required {
				required = append(required, p.Name)
			}
		}
		slices.Sort(all)
		slices.Sort(required)
		wantAll, wantRequired := members(code.params)
		if !slices.Equal(all, wantAll) || !slices.Equal(required, wantRequired) ||
			m.ParamStructure != "by-name" {
			t.Errorf("%s: described with %v, of which required %v; takes %v and %v", m.Name, all, required,
				wantAll, wantRequired)
		}
		all = slices.Sorted(maps.Keys(m.Result.Schema.Properties))
		required = slices.Sorted(slices.Values(m.Result.Schema.Required))
		wantAll, wantRequired = members(code.result)
		if !slices.Equal(all, wantAll) || !slices.Equal(required, wantRequired) {
			t.Errorf("%s: described to answer %v, of which always %v; answers %v and %v", m.Name, all,
				required, wantAll, wantRequired)
		}
	}
	for name := range methods {
		t.Errorf("%s is not described", name)
	}
}
