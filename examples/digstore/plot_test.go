package main

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// challenge FILE MANIFEST writes the challenge of a validator about the first
// capsule of a manifest.
func challenge(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: challenge FILE MANIFEST")
	}
	m, err := readManifest(ts.MkAbs(args[1]))
	ts.Check(err)
	now := uint64(time.Now().Unix())
	c := &capsule.Challenge{
		Type: capsule.Full, ID: "from-a-script", CapsuleHash: m.Capsules[0].Hash,
		Entropy:  merkle.Sum([]byte("fresh")),
		IssuedAt: now, ExpiresAt: now + 100, Samples: 20, WorkBits: 8,
	}
	ts.Check(c.Sign(context.Background(), auth.NewNodeKey([32]byte{77})))
	text, err := json.Marshal(c)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o644))
}
