package main

import (
	"bufio"
	"fmt"
	"strings"
)

// confirm asks before something that cannot be taken back. Without a terminal
// to ask on, only --yes answers. question is without its question mark.
func (a *app) confirm(question string) error {
	if a.yes {
		return nil
	}
	if a.json || !isTerminal(a.in) {
		return usage("repeat it with --yes", "%s: not confirmed, and there is no terminal to ask on", question)
	}
	a.errMu.Lock()
	fmt.Fprintf(a.err, "%s? [y/N] ", oneLine(question))
	a.errMu.Unlock()
	line, err := bufio.NewReader(a.input).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer == "y" || answer == "yes" {
		return nil
	} else if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return &hinted{fmt.Errorf("%s: not confirmed, nothing was done", question), "answer y, or say it beforehand with --yes"}
}
