package api_test

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/push"
)

type noEvents struct{}

func (noEvents) Events(context.Context) iter.Seq[api.Event] { return func(func(api.Event) bool) {} }

// everything is options with which a Server has all routes. They are not asked here.
func everything() api.Options {
	type none struct {
		api.Vitals
		api.Reporter
		api.Capsules
		api.Datastores
		api.Challenger
		api.Plotter
		api.Pinner
		api.Explainer
		api.Maintainer
	}
	var n none
	return api.Options{Vitals: n, Reporter: n, Capsules: n, Datastores: n, Challenger: n,
		Events: noEvents{}, Plotter: n, Pinner: n, Explainer: n, Maintainer: n, Pusher: new(push.Manager),
		Reload:     func(context.Context) error { return nil },
		ForgetPeer: func(context.Context, string) error { return nil },
		Admin:      func(h http.Handler) http.Handler { return h }}
}

// The document has every route and no other.
func TestOpenAPI(t *testing.T) {
	o := everything()
	s, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(api.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	var documented []string
	for path, methods := range doc.Paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(documented)
	routes := s.Routes()
	for _, r := range routes {
		if !slices.Contains(documented, r) {
			t.Errorf("%s is not documented", r)
		}
	}
	for _, r := range documented {
		if !slices.Contains(routes, r) {
			t.Errorf("%s is documented and is no route", r)
		}
	}
	if doc.OpenAPI != "3.1.0" || len(routes) == 0 {
		t.Errorf("OpenAPI %q with %d routes", doc.OpenAPI, len(routes))
	}
}

// Every code has one row, with a status of an error and a title.
func TestCodes(t *testing.T) {
	for code, status := range api.Codes() {
		if status < 400 || status > 599 || code == "" {
			t.Errorf("code %q has status %d", code, status)
		}
	}
}

// The table in node/PROTOCOL.md has every code with its status, and no other.
func TestCodesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[api.Code]int{}
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([45]\\d\\d) \\|")
	for _, row := range rows.FindAllSubmatch(text, -1) {
		status, err := strconv.Atoi(string(row[2]))
		if err != nil {
			t.Fatal(err)
		}
		documented[api.Code(row[1])] = status
	}
	if diff := cmp.Diff(api.Codes(), documented); diff != "" {
		t.Errorf("codes differ from those documented (-code +document):\n%s", diff)
	}
}
