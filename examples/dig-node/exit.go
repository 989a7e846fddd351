package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"syscall"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/internal/secretfile"
)

// The exit codes.
const (
	exitOK         = 0
	exitFailed     = 1 // a check failed, or the node does not answer
	exitUsage      = 2 // the command line or the configuration
	exitPermission = 3
	exitBind       = 5 // an address is in use
	exitIO         = 6
)

// usageError reports a wrong command line.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage returns a usageError.
func usage(hint, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), hint: hint}
}

// hinted is an error with a hint that says what to do about it.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// checkFailed reports that a check of the command found something, which it has printed.
type checkFailed struct{ text, hint string }

func (e *checkFailed) Error() string { return e.text }

// bindError reports that a listener did not get its address.
type bindError struct {
	err  error
	hint string
}

func (e *bindError) Error() string { return e.err.Error() }
func (e *bindError) Unwrap() error { return e.err }

// verdict returns the exit code of an error, and what to do about it.
func verdict(err error) (code int, hint string) {
	var wrong *usageError
	var failed *checkFailed
	var refused *refusal
	var bind *bindError
	var access *secretfile.AccessError
	switch {
	case errors.As(err, &wrong):
		code, hint = exitUsage, wrong.hint
	case config.IsProblems(err):
		code, hint = exitUsage, "dig-node config init prints a file with every key"
	case errors.As(err, &refused):
		code, hint = exitFailed, "dig-node status and the log of the node say more"
		if refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden {
			code, hint = exitPermission, "the token of another node? --data DIR names the folder of this one"
		}
	case errors.As(err, &failed):
		code, hint = exitFailed, failed.hint
	case errors.As(err, &bind):
		code, hint = exitBind, bind.hint
	case errors.As(err, &access):
		code = exitPermission
		hint = "check that no other user has read or changed it, then run: " + access.Fix
	case errors.Is(err, fs.ErrPermission):
		code, hint = exitPermission, "run it as the user that owns the folder, or change its owner"
	case errors.Is(err, diskfs.ErrLocked):
		code, hint = exitIO, "stop the other node, or name other folders with --data and --plots"
	case errors.Is(err, syscall.ENOSPC):
		code, hint = exitIO, "make room on the disk"
	default:
		code = exitIO
	}
	var known *hinted
	if errors.As(err, &known) {
		hint = known.hint
	}
	return code, hint
}

// fail prints an error and its hint, and returns the exit code.
func (a *app) fail(err error) int {
	code, hint := verdict(err)
	var told *silent
	if errors.As(err, &told) {
		return told.code
	}
	if a.json {
		_ = a.object(struct {
			Error string `json:"error"`
			Exit  int    `json:"exit"`
			Hint  string `json:"hint,omitempty"`
		}{err.Error(), code, hint})
		return code
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		prefix := "dig-node: "
		if i > 0 {
			prefix = "          "
		}
		fmt.Fprintf(a.err, "%s%s\n", prefix, oneline.Message(line))
	}
	if hint != "" {
		fmt.Fprintf(a.err, "  %s\n", oneline.Message(hint))
	}
	return code
}

// note prints a line to stderr.
func (a *app) note(format string, args ...any) {
	fmt.Fprintln(a.err, oneline.Message(fmt.Sprintf(format, args...)))
}

// answer prints a result: v with --json, or else what text writes.
func (a *app) answer(v any, text func(w io.Writer)) error {
	if a.json {
		return a.object(v)
	}
	var b strings.Builder
	text(&b)
	for line := range strings.Lines(b.String()) {
		body, end := strings.CutSuffix(line, "\n")
		if end {
			body = oneline.Message(body) + "\n"
		}
		if _, err := io.WriteString(a.out, body); err != nil {
			return fmt.Errorf("write standard output: %w", err)
		}
	}
	return nil
}

func (a *app) object(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}
