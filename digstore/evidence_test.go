package digstore_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/remote"
)

func TestEvidence(t *testing.T) {
	disk := diskfs.NewCrash(home)
	_, s := siteOn(t, disk)
	names := map[string]bool{}
	for i := range remote.MaxEvidence + 3 {
		name, err := s.PutEvidence(ctx, fmt.Appendf(nil, `{"n":%d}`, i))
		check(t, err)
		again, err := s.PutEvidence(ctx, fmt.Appendf(nil, `{"n":%d}`, i))
		if err != nil || again != name || !strings.HasSuffix(name, ".json") {
			t.Errorf("kept as %s, then as %s, %v", name, again, err)
		}
		names[name] = true
	}
	docs, err := s.Evidence(ctx)
	check(t, err)
	if len(docs) != remote.MaxEvidence || len(names) != remote.MaxEvidence+3 {
		t.Fatalf("%d documents, want %d", len(docs), remote.MaxEvidence)
	}
	for i, doc := range docs {
		if want := fmt.Sprintf(`{"n":%d}`, i+3); string(doc) != want {
			t.Errorf("document %d: %s, want %s", i, doc, want)
		}
	}
	if _, err := s.PutEvidence(ctx, make([]byte, remote.MaxEvidenceSize+1)); err == nil {
		t.Error("too long a document was kept")
	}
	large := bytes.Repeat([]byte{'x'}, remote.MaxEvidenceSize)
	if _, err := s.PutEvidence(ctx, large); err != nil {
		t.Errorf("the longest document: %v", err)
	}
}
