package password_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dig-network/digstore/auth/password"
)

// known is the hash of "correct horse": openssl kdf -keylen 32 -kdfopt digest:SHA256
// -kdfopt pass:"correct horse" -kdfopt hexsalt:000102030405060708090a0b0c0d0e0f
// -kdfopt iter:210000 PBKDF2
const known = "pbkdf2-sha256$210000$AAECAwQFBgcICQoLDA0ODw==$" +
	"gxlf+Rr9C5tHYNeBy6tVTQi7bKgI2CUjXCDI6UrbXGg="

func TestHash(t *testing.T) {
	h, err := password.New("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	again, err := password.Parse(h.Text())
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := password.Parse(known)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []password.Hash{h, again, fixed} {
		if err := h.Check("correct horse"); err != nil {
			t.Errorf("the password is refused: %v", err)
		}
	}
	for _, wrong := range []string{"", "correct hors", "Correct horse", strings.Repeat("x", 2000)} {
		if err := fixed.Check(wrong); !errors.Is(err, password.ErrMismatch) {
			t.Errorf("%.20q: got %v, want ErrMismatch", wrong, err)
		}
	}
	second, err := password.New("correct horse")
	if err != nil || second.Text() == h.Text() {
		t.Error("two hashes of a password are equal", err)
	}
	if err := (password.Hash{}).Check(""); !errors.Is(err, password.ErrMismatch) {
		t.Errorf("the zero hash: got %v, want ErrMismatch", err)
	}
	for _, bad := range []string{"", strings.Repeat("x", password.MaxLength+1)} {
		if _, err := password.New(bad); err == nil {
			t.Errorf("a password of %d bytes is accepted", len(bad))
		}
	}
	salt := strings.Split(h.Text(), "$")[2]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if text := fmt.Sprintf(verb, h); strings.Contains(text, salt) || len(text) > 20 {
			t.Errorf("%s prints %s", verb, text)
		}
	}
	if text, err := json.Marshal([]any{h}); err != nil || string(text) != "[{}]" {
		t.Errorf("as JSON: %s, %v", text, err)
	}
}

func TestParse(t *testing.T) {
	parts := strings.Split(known, "$")
	with := func(i int, text string) string {
		changed := append([]string(nil), parts...)
		changed[i] = text
		return strings.Join(changed, "$")
	}
	for name, text := range map[string]string{
		"empty": "", "plain": "secret", "other scheme": with(0, "bcrypt"), "one part more": known + "$",
		"few iterations": with(1, "209999"), "many iterations": with(1, "10000001"),
		"sign": with(1, "+210000"), "zero first": with(1, "0210000"),
		"short salt": with(2, "AAECAw=="), "short hash": with(3, "AAECAw=="),
		"no padding": with(2, strings.TrimRight(parts[2], "=")), "line end": known + "\n",
	} {
		_, err := password.Parse(text)
		if !errors.Is(err, password.ErrFormat) {
			t.Errorf("%s: got %v, want ErrFormat", name, err)
		} else if len(text) > 8 && strings.Contains(err.Error(), parts[3]) {
			t.Errorf("%s: the error has the hash: %v", name, err)
		}
	}
}

func TestChecker(t *testing.T) {
	h, err := password.Parse(known)
	if err != nil {
		t.Fatal(err)
	}
	c := password.NewChecker(map[string]password.Hash{"anna": h})
	for _, test := range []struct {
		user, password string
		want           error
	}{
		{"anna", "wrong", password.ErrMismatch}, {"anna", "correct horse", nil},
		{"anna", "correct horse", nil}, {"anna", "wrong", password.ErrMismatch},
		{"anna", "", password.ErrMismatch}, {"otto", "correct horse", password.ErrMismatch},
		{"", "", password.ErrMismatch},
	} {
		if err := c.Check(t.Context(), test.user, test.password); !errors.Is(err, test.want) {
			t.Errorf("%q, %q: got %v, want %v", test.user, test.password, err, test.want)
		}
	}
}

// A flood of wrong passwords is refused, and does not keep out who has signed in already.
func TestCheckerFlood(t *testing.T) {
	h, err := password.Parse(known)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := password.Parse(strings.Replace(known, "210000", "2000000", 1))
	if err != nil {
		t.Fatal(err)
	}
	c := password.NewChecker(map[string]password.Hash{"anna": h, "otto": slow})
	if err := c.Check(t.Context(), "anna", "correct horse"); err != nil {
		t.Fatal(err)
	}
	const extra = 5
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, password.Workers+password.Waiting+extra)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for range cap(results) {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			results <- c.Check(ctx, "otto", "wrong")
		})
	}
	ready.Wait()
	close(start)
	if err := <-results; !errors.Is(err, password.ErrBusy) {
		t.Errorf("the first result is %v, want ErrBusy", err)
	}
	if err := c.Check(t.Context(), "anna", "correct horse"); err != nil {
		t.Errorf("during the flood: %v", err)
	}
	cancel()
	done.Wait()
	close(results)
	for err := range results {
		if err == nil {
			t.Error("a wrong password was accepted")
		}
	}
}
