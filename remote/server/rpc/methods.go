package rpc

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
)

// A method is one entry of the table.
type method struct {
	params, result reflect.Type
	call           func(h *Handler, c *call, params json.RawMessage) (any, error)
}

// A call is one request that is being answered.
type call struct {
	context.Context
	budget *int64              // bytes left for the whole response, from Options.MaxAnswer
	memory *server.MemoryShare // its share of Handler.memory
}

// answers returns a method from a function with typed parameters.
func answers[P, R any](f func(*Handler, *call, *P) (R, error)) method {
	return method{reflect.TypeFor[P](), reflect.TypeFor[R](),
		func(h *Handler, c *call, text json.RawMessage) (any, error) {
			p := new(P)
			if text != nil && string(text) != "null" {
				if text[0] != '{' {
					return nil, badParams("parameters are given by name")
				}
				if err := json.Unmarshal(text, p); err != nil {
					return nil, badParams("malformed parameters")
				}
			}
			return f(h, c, p)
		}}
}

// table returns the methods that the handler implements (remote/PROTOCOL.md 10.2).
func table() map[string]method {
	return map[string]method{
		"dig.getContent":     answers((*Handler).getContent),
		"dig.getCapsule":     answers((*Handler).getCapsule),
		"dig.getModule":      answers((*Handler).getCapsule),
		"dig.getManifest":    answers((*Handler).getManifest),
		"dig.getMetadata":    answers((*Handler).getMetadata),
		"dig.getProof":       answers((*Handler).getProof),
		"dig.getProofStatus": answers((*Handler).getProofStatus),
		"dig.listCapsules":   answers((*Handler).listCapsules),
		"dig.health":         answers((*Handler).health),
		"dig.methods":        answers((*Handler).methods),
		"rpc.discover":       answers((*Handler).discover),
	}
}

// names returns the names of the methods, sorted.
func (h *Handler) names() []string {
	var all []string
	for name := range h.table {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func badParams(why string) *rpc.Error {
	return &rpc.Error{Code: rpc.CodeParams, Message: "invalid params: " + why}
}
