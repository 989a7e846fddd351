package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/dig-network/digstore/internal/oneline"
)

// confirm asks the user a question, given without its question mark. It returns nil if
// the answer is yes. Without a terminal only --yes confirms.
func (a *app) confirm(question string) error {
	if a.yes {
		return nil
	}
	if a.json || !isTerminal(a.in) {
		return usage("to confirm, repeat it with --yes",
			"%s: not confirmed, and there is no terminal to ask on", question)
	}
	a.errMu.Lock()
	fmt.Fprintf(a.err, "%s? [y/N] ", oneline.Message(question))
	a.errMu.Unlock()
	line, err := bufio.NewReader(a.input).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	if answer == "y" || answer == "yes" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return &hinted{
		fmt.Errorf("%s: not confirmed, nothing was done", question),
		"answer y, or use --yes",
	}
}
